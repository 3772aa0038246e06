"""
A Starlette application whose events carry user, request id and origin.

Needs PGLOG_AUDIT_CONNINFO and the table (``pglog-audit init``), and ``pip install 'pglog-audit[web]'``. Then::

    uvicorn asgi_app:app
    curl -i -X POST -H 'X-User: alice' http://127.0.0.1:8000/tickets
"""

import logging

from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from pglog_audit import AuditHandler, audit, bind_audit_context
from pglog_audit.integrations.asgi import AuditMiddleware

logger = logging.getLogger("audit")
logger.setLevel(logging.INFO)
logger.addHandler(AuditHandler(service="tickets"))


class SignedIn(AuthenticationBackend):
    """Who sent the request."""

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, SimpleUser] | None:
        """Believe a header; yours asks the session."""
        if not (name := conn.headers.get("X-User")):
            return None
        bind_audit_context(user_label=name)
        return AuthCredentials(["signed in"]), SimpleUser(name)


def sell_ticket(request: Request) -> JSONResponse:
    # A sync endpoint runs in another thread; the fields of the request are there, too.
    if not request.user.is_authenticated:
        logger.warning("Not signed in", extra=audit("ticket.sell", outcome="denied"))
        return JSONResponse({"error": "sign in first"}, 401)
    logger.info("Ticket sold", extra=audit("ticket.sell", metadata={"seats": 2}))
    return JSONResponse({"seats": 2}, 201)


app = AuditMiddleware(
    Starlette(
        routes=[Route("/tickets", sell_ticket, methods=["POST"])],
        middleware=[Middleware(AuthenticationMiddleware, backend=SignedIn())],
    )
)
