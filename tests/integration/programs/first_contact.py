"""Log one event as a stranger might, in the way that the argument names; with the README's configuration."""

import logging
import sys
from logging.config import dictConfig

from pglog_audit import audit

LOGGER = {"handlers": ["audit"], "level": "INFO", "propagate": False}
if sys.argv[1] == "level":
    del LOGGER["level"]
dictConfig(
    {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"audit": {"class": "pglog_audit.AuditHandler", "shutdown_timeout": 2}},
        "loggers": {"audit": LOGGER},
    }
)
logger = logging.getLogger("audit")
match sys.argv[1]:
    case "usual" | "level":
        logger.info("Logo replaced", extra=audit("branding.update"))
    case "no extra":
        logger.info("Logo replaced", audit("branding.update"))
    case "adapter":
        logging.LoggerAdapter(logger, {"shop": "north"}).info("Logo replaced", extra=audit("branding.update"))
    case "other logger":
        logging.getLogger("app").warning("Logo replaced", extra=audit("branding.update"))
    case "no audit":
        logger.info("Logo replaced")
    case "disabled":
        logger.disabled = True
        logger.info("Logo replaced", extra=audit("branding.update"))
