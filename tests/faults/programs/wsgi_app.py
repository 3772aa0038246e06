"""A WSGI application that audits each request."""

import logging
import logging.config
import os
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

from pglog_audit import audit
from pglog_audit.integrations.wsgi import AuditMiddleware

SPOOL = os.environ.get("SPOOL")

logging.config.dictConfig(
    {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"audit": {"class": "pglog_audit.AuditHandler", "spool": SPOOL, "journal": SPOOL is not None}},
        "loggers": {"audit": {"handlers": ["audit"], "level": "INFO", "propagate": False}},
    }
)
logger = logging.getLogger("audit")


def site(_: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Audit a request."""
    logger.info("Seen", extra=audit("page.view"))
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "4")])
    return [b"seen"]


app = AuditMiddleware(site)
