"""
ASGI: who asked, and under which request id, on every audit event of a request; all rows written before the server ends.

Put it around the whole application, so that the error page of an unhandled exception carries the request id as well::

    app = AuditMiddleware(Starlette(routes=routes))

It speaks plain ASGI 3 and imports no framework: Starlette, FastAPI, Litestar, Quart and Django take it alike.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from functools import partial
from typing import Any, TypeAlias

from .. import diagnostics
from ..context import request_context
from .origin import OriginRules

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

_FLUSH_TIMEOUT = 5.0
_RESPONSE_STARTS = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})


class AuditMiddleware:
    """
    Give every audit event of a request its ``request_id``, ``source_ip`` and ``user_agent``.

    :param app: the ASGI application.
    :param header: where the request id comes from and goes back to. An incoming one is taken if the header stands
        there once, has 1 to 128 characters of ``A-Z a-z 0-9 . _ : / + = @ -`` and is not ``-``, ``none`` or ``null``;
        otherwise a new UUIDv7 is made. The response carries that id alone, whatever the application set there. None
        leaves all that to another middleware, whose id the option *request_id_from* finds.
    :param trusted_proxies: addresses and networks (``"10.0.0.0/8"``) whose ``X-Forwarded-For`` is believed: read from
        the right, the first address that is none of them is the client. Needless where the server does that itself
        (``uvicorn --forwarded-allow-ips``). There is no ``"*"``: it would let clients choose the address on record.
    :raises ConfigurationError: *header* is no header name, or one of *trusted_proxies* no address or network.

    :func:`pglog_audit.bind_audit_context` anywhere in the request adds to the same fields. When the server shuts down,
    the queue is flushed for at most 5 s before the server hears that the application is done; an application without
    ``lifespan`` support gets it from here. Servers run with ``lifespan="off"`` leave that to Python's own exit, which
    a SIGTERM skips.
    """

    def __init__(
        self, app: ASGIApp, *, header: str | None = "X-Request-ID", trusted_proxies: Iterable[str] = ()
    ) -> None:
        self._app = app
        self._rules = OriginRules(header, trusted_proxies)
        self._header = (header or "").lower().encode("ascii")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application inside the context of its request."""
        if scope["type"] == "lifespan":
            await _Lifespan(receive, send).run(self._app, scope)
        elif scope["type"] in ("http", "websocket"):
            await self._run_request(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _run_request(self, scope: Scope, receive: Receive, send: Send) -> None:
        peer = (scope.get("client") or [""])[0]
        fields = self._rules.fields(partial(_header_values, scope), peer)

        async def send_with_id(message: Message) -> None:
            await send(self._with_id(message, fields["request_id"]) if message["type"] in _RESPONSE_STARTS else message)

        with request_context(**fields):
            await self._app(scope, receive, send_with_id if self._header else send)

    def _with_id(self, message: Message, request_id: str) -> Message:
        headers = [(name, value) for name, value in message.get("headers") or () if name.lower() != self._header]
        return {**message, "headers": [*headers, (self._header, request_id.encode("ascii"))]}


def _header_values(scope: Scope, name: str) -> list[str]:
    wanted = name.encode("ascii")
    return [value.decode("latin-1") for key, value in scope.get("headers") or () if key.lower() == wanted]


class _Lifespan:
    """The lifespan of an application, or of one without; writes what is queued before the server hears of its end."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._asked = False

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        try:
            await self._run_app(app, scope)
            if not self._asked:
                await self._answer()
        finally:
            # For what was logged since. It blocks: at the next await, the server that has its answer ends the process.
            _flush()

    async def _run_app(self, app: ASGIApp, scope: Scope) -> None:
        try:
            await app(scope, self.receive, self.send)
        except Exception as error:
            # So ASGI lets an application refuse the lifespan. One that asked for messages has a lifespan, which
            # failed: without that error the server would start a broken application.
            if self._asked:
                raise
            diagnostics.logger.info("The application has no ASGI lifespan, AuditMiddleware answers for it: %r", error)

    async def receive(self) -> Message:
        self._asked = True
        return await self._receive()

    async def send(self, message: Message) -> None:
        # The server waits for this message, not for our return: uvicorn then ends itself by SIGTERM, past atexit.
        if message["type"] in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
            await _flush_off_loop()
        await self._send(message)

    async def _answer(self) -> None:
        while (message := await self._receive())["type"] != "lifespan.shutdown":
            await self.send({"type": f"{message['type']}.complete"})
        await self.send({"type": "lifespan.shutdown.complete"})


async def _flush_off_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        # Another event loop, trio's: nothing is served any more, so blocking it harms nobody.
        _flush(_FLUSH_TIMEOUT)
    else:
        await asyncio.to_thread(_flush, _FLUSH_TIMEOUT)


def _flush(timeout: float | None = None) -> None:
    # Where the handlers were never loaded nothing was ever logged, and psycopg need not be there.
    handlers = sys.modules.get("pglog_audit.handlers")
    if handlers and (left := handlers.flush(timeout)):
        # Past atexit nobody else says it.
        text = "Audit events that were not written when the application had shut down: %d (%s)"
        diagnostics.warn("shutdown", text, left, handlers.stats()["problem"] or "it took too long")
    elif handlers and timeout is not None and (processes := sys.modules.get("pglog_audit.processes")):
        processes.end(processes.writers(), 0.5)
