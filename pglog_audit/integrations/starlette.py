"""FastAPI and Starlette: the middleware around the whole application, which stays the object that servers look for."""

from typing import Any

from ..errors import ConfigurationError
from .asgi import AuditMiddleware


def add_audit_middleware(app: Any, **options: Any) -> None:
    """
    Put :class:`pglog_audit.integrations.asgi.AuditMiddleware` around *app*, outside of all its other middlewares.

    ``app.add_middleware`` puts one inside of Starlette's own that answers unhandled exceptions: that answer, and what a
    handler of ``Exception`` logs, would have no request id.

    :param app: a FastAPI or Starlette application that has served nothing yet.
    :param options: the middleware's parameters.
    :raises ConfigurationError: *app* is another thing or has begun to serve, or an option can never work.
    """
    build = getattr(app, "build_middleware_stack", None)
    if build is None:
        raise ConfigurationError(
            f"add_audit_middleware takes a FastAPI or Starlette application, and this is a {type(app).__name__}: write "
            "app = AuditMiddleware(app)"
        )
    if app.middleware_stack is not None:
        raise ConfigurationError("the application serves requests already: call add_audit_middleware where it is made")
    AuditMiddleware(app, **options)  # what is wrong with them shows now
    app.build_middleware_stack = lambda: AuditMiddleware(build(), **options)
