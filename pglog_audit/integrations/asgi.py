"""
ASGI: who asked, and under which request id, on every audit event of a request; all rows written before the server ends.

Put it around the whole application, so that the error page of an unhandled exception carries the request id as well::

    app = AuditMiddleware(Starlette(routes=routes))

It speaks plain ASGI 3 and imports no framework: Starlette, FastAPI, Litestar, Quart and Django take it alike.
"""

import asyncio
import re
import sys
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, TypeAlias

from uuid_utils import uuid7

from .. import diagnostics
from ..context import request_context
from ..errors import ConfigurationError

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

_FLUSH_TIMEOUT = 5.0
# No space, quote, comma or control character: the id goes back into a header, and into people's shells and searches.
_REQUEST_ID = re.compile(r"(?!(?:-|none|null)\Z)[A-Za-z0-9._:/+=@-]{1,128}", re.IGNORECASE | re.ASCII)
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_WITH_PORT = re.compile(r"\[([^]]+)\](?::[0-9]+)?|([0-9.]+):[0-9]+")
_RESPONSE_STARTS = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})


class AuditMiddleware:
    """
    Give every audit event of a request its ``request_id``, ``source_ip`` and ``user_agent``.

    :param app: the ASGI application.
    :param header: where the request id comes from and goes back to. An incoming one is taken if the header stands
        there once, has 1 to 128 characters of ``A-Z a-z 0-9 . _ : / + = @ -`` and is not ``-``, ``none`` or ``null``;
        otherwise a new UUIDv7 is made. The response carries that id alone, whatever the application set there.
    :param trusted_proxies: addresses and networks (``"10.0.0.0/8"``) whose ``X-Forwarded-For`` is believed: read from
        the right, the first address that is none of them is the client. Needless where the server does that itself
        (``uvicorn --forwarded-allow-ips``). There is no ``"*"``: it would let clients choose the address on record.
    :raises ConfigurationError: *header* is no header name, or one of *trusted_proxies* no address or network.

    :func:`pglog_audit.bind_audit_context` anywhere in the request adds to the same fields. When the server shuts down,
    the queue is flushed for at most 5 s before the server hears that the application is done; an application without
    ``lifespan`` support gets it from here. Servers run with ``lifespan="off"`` leave that to Python's own exit, which
    a SIGTERM skips.
    """

    def __init__(self, app: ASGIApp, *, header: str = "X-Request-ID", trusted_proxies: Iterable[str] = ()) -> None:
        if not _HEADER_NAME.fullmatch(header):
            raise ConfigurationError(f"header {header!r} is no HTTP header name: write something like 'X-Request-ID'")
        self._app = app
        self._header = header.lower().encode("ascii")
        self._proxies = _parse_proxies(trusted_proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application inside the context of its request."""
        if scope["type"] == "lifespan":
            await _Lifespan(receive, send).run(self._app, scope)
        elif scope["type"] in ("http", "websocket"):
            await self._run_request(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _run_request(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = _request_id(_header_values(scope, self._header))

        async def send_with_id(message: Message) -> None:
            await send(self._with_id(message, request_id) if message["type"] in _RESPONSE_STARTS else message)

        with request_context(request_id=request_id, **self._origin(scope)):
            await self._app(scope, receive, send_with_id)

    def _with_id(self, message: Message, request_id: str) -> Message:
        headers = [(name, value) for name, value in message.get("headers") or () if name.lower() != self._header]
        return {**message, "headers": [*headers, (self._header, request_id.encode("ascii"))]}

    def _origin(self, scope: Scope) -> dict[str, str]:
        origin = {}
        if client := self._client(scope):
            origin["source_ip"] = str(client)
        if user_agent := " ".join(_header_values(scope, b"user-agent")):
            origin["user_agent"] = user_agent
        return origin

    def _client(self, scope: Scope) -> Address | None:
        """Walk from the peer towards the client for as long as a trusted proxy tells who came before it."""
        client = _parse_address(str((scope.get("client") or [""])[0]))
        hops = [hop.strip() for line in _header_values(scope, b"x-forwarded-for") for hop in line.split(",")]
        for hop in reversed([hop for hop in hops if hop]):
            if client is None or not any(client in network for network in self._proxies):
                break
            before = _parse_address(hop)
            if before is None:
                break
            client = before
        return client


def _header_values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope.get("headers") or () if key.lower() == name]


def _request_id(values: list[str]) -> str:
    # Two ids in one request: whichever we took, another log would show the other one.
    if len(values) == 1 and _REQUEST_ID.fullmatch(values[0]):
        return values[0]
    return str(uuid7())


def _parse_proxies(proxies: Iterable[str]) -> tuple[Network, ...]:
    if isinstance(proxies, str):
        raise ConfigurationError(f"trusted_proxies is a single string: write a list, [{proxies!r}]")
    return tuple(_parse_proxy(proxy) for proxy in proxies)


def _parse_proxy(proxy: str) -> Network:
    try:
        return ip_network(proxy)
    except ValueError as error:
        raise ConfigurationError(
            f"trusted_proxies: {error}; write the addresses or networks of your own proxies, such as '10.0.0.0/8'"
        ) from None


def _parse_address(text: str) -> Address | None:
    """Return the address in *text*, with or without a port, or None: also for a socket's path or a zoned address."""
    if match := _WITH_PORT.fullmatch(text):
        text = match[1] or match[2]
    with suppress(ValueError):
        address = ip_address(text)
        if isinstance(address, IPv4Address):
            return address
        # A dual-stack socket shows IPv4 peers as ::ffff:192.0.2.1, which is in none of the networks people write.
        # PostgreSQL's inet has no place for a zone.
        return address.ipv4_mapped or (None if address.scope_id else address)
    return None


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
        diagnostics.warn("shutdown", "%d audit events were not written when the application had shut down", left)
