"""The middleware: who acts, and in which request, on every audit event of a Django request."""

import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from functools import partial
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.core.exceptions import SynchronousOnlyOperation
from django.db import connections
from django.http import FileResponse
from django.utils.functional import SimpleLazyObject

from ... import diagnostics
from ...context import RequestContext, bind_late_context
from ..origin import OriginRules, environ_values
from .audit_settings import read_settings


class AuditMiddleware:
    """
    Give every audit event of a request its user, ``request_id``, ``source_ip`` and ``user_agent``.

    It goes first in ``MIDDLEWARE``, so that the answer to an unhandled exception has the request id as well, and works
    under WSGI and ASGI, with views of both kinds. ``HEADER`` and ``TRUSTED_PROXIES`` of the setting ``PGLOG_AUDIT``
    are the parameters of the same names of :class:`pglog_audit.integrations.wsgi.AuditMiddleware`.

    ``request.user`` is asked when an event is logged, and not before; so what ``login()`` changes counts from then on.
    A coroutine cannot ask the database in a log call: there the user stands on the event if the view, or a decorator,
    has awaited ``request.auser()`` before. :func:`pglog_audit.bind_audit_context` wins over all of this.

    :raises ConfigurationError: ``PGLOG_AUDIT`` has a value that can never work.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self._get_response = get_response
        given = read_settings()
        self._rules = OriginRules(given.header, given.trusted_proxies)
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: Any) -> Any:
        """Answer *request* in the context of its own."""
        fields = self._rules.fields(partial(environ_values, request.META), request.META.get("REMOTE_ADDR", ""))
        context = RequestContext(**fields)
        context.run(bind_late_context, partial(self._ask, request, threading.get_ident()))
        finish = partial(self._finish, context, fields.get("request_id"))
        if self._is_async:
            return self._answer(request, context, finish)
        return finish(context.run(self._get_response, request))

    def user_fields(self, request: Any) -> Mapping[str, Any]:
        """
        Return the fields that tell who acts in *request*; to be overridden, for a tenant or an impersonator.

        Called by each log call of an event, in the thread that logs.
        """
        user = getattr(request, "user", None)
        if isinstance(user, SimpleLazyObject):
            # What auser() found, which that one does not know.
            user = getattr(request, "_acached_user", user)
        try:
            if user is None or not user.is_authenticated:
                return {}
        except SynchronousOnlyOperation:
            text = "An event of an async view has no user, since nobody has asked for it: await request.auser() before"
            diagnostics.warn("async user", text)
            return {}
        return {"user_id": user.pk, "user_label": user.get_username()}

    def _ask(self, request: Any, thread: int) -> Mapping[str, Any]:
        """Ask, in a thread other than *thread*, without leaving a connection that nobody there would close."""
        if threading.get_ident() == thread:
            return self.user_fields(request)
        before = _open_connections()
        try:
            return self.user_fields(request)
        finally:
            for connection in _open_connections() - before:
                connection.close()

    async def _answer(self, request: Any, context: RequestContext, finish: Callable[[Any], Any]) -> Any:
        with context.entered():
            response = await self._get_response(request)
        return finish(response)

    def _finish(self, context: RequestContext, request_id: str | None, response: Any) -> Any:
        if self._rules.header is not None:
            response[self._rules.header] = request_id
        # Of a file, which the server may send by its number, no piece runs code of the application.
        if response.streaming and not isinstance(response, FileResponse):
            pieces = _async_pieces if response.is_async else _pieces
            response.streaming_content = pieces(response.streaming_content, context)
        # What ends with the response, and the receivers of request_finished.
        response.close = partial(context.run, response.close)
        return response


def _open_connections() -> set[Any]:
    """Return those of Django's that this thread has."""
    return {each for each in connections.all(initialized_only=True) if each.connection is not None}


def _pieces(pieces: Iterator[bytes], context: RequestContext) -> Iterator[bytes]:
    """Make each of *pieces* in *context*: between two, the thread does what is none of the request's."""
    while True:
        with context.entered():
            piece = next(pieces, None)
        if piece is None:
            return
        yield piece


async def _async_pieces(pieces: AsyncIterator[bytes], context: RequestContext) -> AsyncIterator[bytes]:
    while True:
        with context.entered():
            piece = await anext(pieces, None)
        if piece is None:
            return
        yield piece
