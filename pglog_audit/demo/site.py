"""
A site for hosted events, as an application uses pglog_audit.

One handler in dictConfig, one middleware around the application, one line where it learns who is signed in; and in the
endpoints one ``extra=audit(…)`` where something was done.
"""

import logging.config
import os

from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection
from starlette.routing import Route

from pglog_audit import bind_audit_context
from pglog_audit.integrations.asgi import AuditMiddleware

from . import endpoints
from .events import HOSTS, USERS

AUDIT_HANDLER = {
    "class": "pglog_audit.AuditHandler",
    "conninfo": os.environ.get("PGLOG_AUDIT_CONNINFO"),
    "table": os.environ.get("AUDIT_TABLE", "audit_log"),
    "service": "events-site",
}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"audit": AUDIT_HANDLER},
    "loggers": {"audit": {"handlers": ["audit"], "level": "INFO", "propagate": False}},
}


class SignedInUser(AuthenticationBackend):
    """Who sent the request; a real site asks its session."""

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, SimpleUser] | None:
        """Tell the trail who acts, once for the whole request."""
        name = conn.cookies.get("user", "")
        if name not in USERS:
            return None
        bind_audit_context(user_id=USERS[name], user_label=name)
        return AuthCredentials(["host"] if name in HOSTS else []), SimpleUser(name)


ROUTES = [
    Route("/events", endpoints.list_events),
    Route("/events/{event_id:uuid}/branding", endpoints.update_branding, methods=["PATCH"]),
    Route("/events/{event_id:uuid}/collaborators", endpoints.invite_collaborator, methods=["POST"]),
    Route("/events/{event_id:uuid}/collaborators/{person:uuid}", endpoints.remove_collaborator, methods=["DELETE"]),
    Route("/events/{event_id:uuid}/guests", endpoints.import_guests, methods=["POST"]),
    Route("/events/{event_id:uuid}/guests/{person:uuid}/check-in", endpoints.check_in_guest, methods=["POST"]),
    Route("/events/{event_id:uuid}/messages", endpoints.send_message, methods=["POST"]),
]


def create_app() -> AuditMiddleware:
    """Return the site, with its audit trail switched on."""
    logging.config.dictConfig(LOGGING)
    signed_in = Middleware(AuthenticationMiddleware, backend=SignedInUser())
    return AuditMiddleware(Starlette(routes=ROUTES, middleware=[signed_in]))
