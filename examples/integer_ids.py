"""
Events of an application whose ids are numbers.

Needs PGLOG_AUDIT_CONNINFO, and a table with such columns::

    pglog-audit init --id-type user_id=bigint --id-type event_id=bigint --id-type target_id=bigint
"""

import logging

from pglog_audit import AuditHandler, audit, audit_context

logger = logging.getLogger("audit")
logger.setLevel(logging.INFO)
logger.addHandler(AuditHandler())


def main() -> None:
    with audit_context(user_id=17, event_id=2026):
        for guest in (501, 502):
            logger.info("Guest checked in", extra=audit("guest.check_in", entity_type="guest", target_id=guest))


if __name__ == "__main__":
    main()
