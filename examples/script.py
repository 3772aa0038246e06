"""
A script that logs what it does: one handler, a few events, and a word at the end if any of them is not stored yet.

Needs PGLOG_AUDIT_CONNINFO and the table: ``pglog-audit init``.
"""

import logging
from uuid import uuid4

from pglog_audit import AuditHandler, audit, audit_context, flush

logger = logging.getLogger("audit")
logger.setLevel(logging.INFO)
logger.addHandler(AuditHandler(service="guest-import"))


def import_guest(name: str) -> None:
    if not name:
        raise ValueError("a guest has a name")
    logger.info("Guest imported", extra=audit("guest.import", target_id=uuid4(), target_label=name))


def main() -> None:
    with audit_context(user_label="nightly job", event_id=uuid4(), entity_type="guest"):
        for name in ["Ada", "Grace", ""]:
            try:
                import_guest(name)
            except ValueError:
                # At this level, and with an exception, the outcome is "failure".
                logger.exception("Guest left out", extra=audit("guest.import"))
    if left := flush(timeout=5):
        print(f"{left} events are not stored yet")


if __name__ == "__main__":
    main()
