"""
Logging configured from JSON: the audit log in PostgreSQL, everything else on stderr.

Needs PGLOG_AUDIT_CONNINFO and the table: ``pglog-audit init``.
"""

import json
import logging.config

from pglog_audit import audit

CONFIGURATION = """
{
    "version": 1,
    "disable_existing_loggers": false,
    "handlers": {
        "audit": {
            "class": "pglog_audit.AuditHandler",
            "service": "booking",
            "mask": ["iban"],
            "flush_interval": 0.1
        },
        "console": {"class": "logging.StreamHandler"}
    },
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {"audit": {"handlers": ["audit"], "level": "INFO", "propagate": false}}
}
"""


def main() -> None:
    logging.config.dictConfig(json.loads(CONFIGURATION))
    payment = {"amount": "12.50", "iban": "DE02120300000000202051"}
    logging.getLogger("audit").info("Invoice paid", extra=audit("invoice.pay", metadata=payment))
    logging.getLogger("booking").info("This line is no event and goes to stderr")


if __name__ == "__main__":
    main()
