"""
The standard library's pair of queue handler and listener, wired by dictConfig (Python 3.12 or newer).

Needs PGLOG_AUDIT_CONNINFO and the table: ``pglog-audit init``.
"""

import logging.config

from pglog_audit import audit

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {
        "postgres": {"class": "pglog_audit.PostgresHandler", "service": "booking"},
        "audit": {
            "class": "pglog_audit.AuditQueueHandler",
            "queue": "queue.SimpleQueue",
            "listener": "pglog_audit.AuditQueueListener",
            "handlers": ["postgres"],
        },
    },
    "loggers": {"audit": {"handlers": ["audit"], "level": "INFO", "propagate": False}},
}


def main() -> None:
    logging.config.dictConfig(LOGGING)
    logging.getLogger("audit").info("Ticket sold", extra=audit("ticket.sell", metadata={"seats": 2}))


if __name__ == "__main__":
    main()
