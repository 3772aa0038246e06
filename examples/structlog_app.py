"""
An application that logs through structlog: its events are rows, and stand in its own log too.

structlog hands each entry to logging, whose handlers store and print it. Needs PGLOG_AUDIT_CONNINFO, the table
(``pglog-audit init``) and ``pip install structlog``.
"""

import logging.config

import structlog
from structlog.contextvars import bound_contextvars, merge_contextvars

from pglog_audit import audit

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "pglog_audit.AuditJsonFormatter"}},
    "handlers": {
        "audit": {"class": "pglog_audit.AuditHandler"},
        "console": {"class": "logging.StreamHandler", "formatter": "json"},
    },
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {"audit": {"handlers": ["audit"]}},
}


def configure() -> None:
    logging.config.dictConfig(LOGGING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            merge_contextvars,
            structlog.stdlib.render_to_log_kwargs,  # what is left becomes the record's extra
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def main() -> None:
    configure()
    with bound_contextvars(request_id="req-17"):
        structlog.get_logger("booking").info("Seats held", seats=2)
        payment = {"amount": "12.50", "card_number": "4111 1111 1111 1111"}
        structlog.get_logger("audit").info("Ticket sold", **audit("ticket.sell", metadata=payment))


if __name__ == "__main__":
    main()
