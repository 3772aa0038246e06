"""Log as many events as the argument says, and end."""

import logging
import logging.config
import sys

from pglog_audit import audit

logging.config.dictConfig(
    {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"audit": {"class": "pglog_audit.AuditHandler"}},
        "loggers": {"audit": {"handlers": ["audit"], "level": "INFO", "propagate": False}},
    }
)
logger = logging.getLogger("audit")
for n in range(int(sys.argv[1])):
    logger.info("Ticket opened", extra=audit("ticket.open", metadata={"n": n}))
