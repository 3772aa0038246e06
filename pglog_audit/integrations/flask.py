"""Flask: an extension that gives every audit event of a request its user, its request id and its origin."""

from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any, TypeAlias

from ..context import bind_late_context
from ..errors import ConfigurationError
from .wsgi import AuditMiddleware

try:
    from flask import Flask, has_request_context
except ImportError as error:
    raise ImportError("pglog_audit.integrations.flask needs Flask: pip install 'flask>=3'") from error

UserFields: TypeAlias = Callable[[], Mapping[str, Any]]

_NAME = "pglog_audit"


class AuditTrail:
    """
    Put :class:`pglog_audit.integrations.wsgi.AuditMiddleware` around Flask applications, and say who acts.

    :param app: the application; without one, call :meth:`init_app` later.
    :param header: as the middleware takes it; ``PGLOG_AUDIT_HEADER`` in the application's configuration wins.
    :param trusted_proxies: the same, and ``PGLOG_AUDIT_TRUSTED_PROXIES``.
    :raises ConfigurationError: a value can never work, or the application has the extension already.
    """

    def __init__(
        self, app: Flask | None = None, *, header: str | None = "X-Request-ID", trusted_proxies: Iterable[str] = ()
    ) -> None:
        self._header = header
        self._trusted_proxies = trusted_proxies
        self._user_fields: UserFields | None = None
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """
        Add the trail to *app*.

        :raises ConfigurationError: see the class.
        """
        if _NAME in app.extensions:
            raise ConfigurationError(f"the application {app.name} has an AuditTrail already: call init_app once")
        header = app.config.get("PGLOG_AUDIT_HEADER", self._header)
        trusted_proxies = app.config.get("PGLOG_AUDIT_TRUSTED_PROXIES", self._trusted_proxies)
        middleware = AuditMiddleware(app.wsgi_app, header=header, trusted_proxies=trusted_proxies)
        app.wsgi_app = middleware  # type: ignore[method-assign] # as Flask's documentation says
        # Before all others, whose events have a user, too.
        app.before_request_funcs.setdefault(None, []).insert(0, self._begin)
        app.extensions[_NAME] = self

    def user_fields(self, function: UserFields) -> UserFields:
        """
        Let *function* tell who acts: a decorator.

        It is called by each log call of an event inside a request, and not otherwise, and returns fields such as
        ``{"user_id": …, "user_label": …}``, or ``{}`` where nobody acts. What :func:`pglog_audit.bind_audit_context`
        gives wins.
        """

        @wraps(function)
        def fields() -> Mapping[str, Any]:
            # Of a stream, Flask has the request only in stream_with_context().
            return function() if has_request_context() else {}

        self._user_fields = fields
        return function

    def _begin(self) -> None:
        if self._user_fields is not None:
            bind_late_context(self._user_fields)
