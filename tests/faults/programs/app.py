"""An ASGI application that audits each request."""

import logging
import logging.config
import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from pglog_audit import audit
from pglog_audit.integrations.asgi import AuditMiddleware

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


async def in_the_loop(_: Request) -> PlainTextResponse:
    """Audit from a coroutine."""
    logger.info("Seen", extra=audit("page.view"))
    return PlainTextResponse("seen")


def in_a_thread(_: Request) -> PlainTextResponse:
    """Audit from a thread of the pool."""
    logger.info("Seen", extra=audit("page.view"))
    return PlainTextResponse("seen")


app = AuditMiddleware(Starlette(routes=[Route("/loop", in_the_loop), Route("/thread", in_a_thread)]))
