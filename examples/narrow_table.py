"""
Events in the table of another service: its own columns and names, without those that only our table has.

Needs PGLOG_AUDIT_CONNINFO, and that table::

    CREATE TABLE activity (
        id bigserial PRIMARY KEY,
        user_id uuid,
        event_id uuid,
        action text NOT NULL,
        entity_type text,
        target_id uuid,
        metadata jsonb NOT NULL DEFAULT '{}',
        request_id text,
        created_at timestamptz NOT NULL DEFAULT now()
    );

Its owner lets the application insert: ``pglog-audit init --table activity --existing --writer app``.
"""

import logging
from uuid import uuid4

from pglog_audit import AuditHandler, audit

logger = logging.getLogger("audit")
logger.setLevel(logging.INFO)
logger.addHandler(AuditHandler(table="activity", columns={"occurred_at": "created_at"}))


def main() -> None:
    # A key that is neither field nor column goes to the metadata; a field without a column is left out.
    logger.info(
        "Logo replaced",
        extra=audit(
            "branding.update",
            user_id=uuid4(),
            event_id=uuid4(),
            entity_type="branding",
            target_id=uuid4(),
            request_id="req-17",
            metadata={"field": "logo"},
            plan="free",
        ),
    )


if __name__ == "__main__":
    main()
