"""The ASGI middleware, driven by hand-made scopes and by real frameworks."""

import asyncio
import subprocess
import sys
import warnings
from collections.abc import Awaitable, Callable, Iterator
from ipaddress import ip_network
from types import SimpleNamespace
from typing import Annotated, Any
from uuid import UUID

import pytest
from fastapi import Depends, FastAPI
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from pglog_audit import bind_audit_context
from pglog_audit.context import current_context
from pglog_audit.errors import ConfigurationError
from pglog_audit.integrations.asgi import AuditMiddleware

with warnings.catch_warnings():
    # Starlette 1 would rather have httpx2 under its client; either will do here.
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

Headers = list[tuple[bytes, bytes]]


def context_of(
    headers: Headers, client: tuple[str, int] | None = ("192.0.2.7", 4711), **options: Any
) -> dict[str, Any]:
    """Return the context that an application sees in one request."""
    seen: dict[str, Any] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.update(current_context())

    scope = {"type": "http", "headers": headers, "client": client}
    asyncio.run(AuditMiddleware(app, **options)(scope, unexpected, unexpected))
    return seen


async def unexpected(*message: Any) -> Any:
    raise AssertionError(f"unexpected ASGI call {message}")


def forwarded(*lines: str, peer: str = "10.0.0.1", trusted: Any = ("10.0.0.0/8", "2001:db8::/32")) -> Any:
    headers = [(b"x-forwarded-for", line.encode()) for line in lines]
    return context_of(headers, (peer, 80), trusted_proxies=trusted).get("source_ip")


async def show_context(request: Request) -> Response:
    return JSONResponse(dict(current_context()))


def show_context_in_thread(request: Request) -> Response:
    return JSONResponse(dict(current_context()))


async def crash(request: Request) -> Response:
    raise LookupError("no such event")


async def set_own_header(request: Request) -> Response:
    return Response(headers={"X-Request-Id": "the application's", "X-Other": "kept"})


async def accept(websocket: WebSocket) -> None:
    await websocket.accept(headers=[(b"x-other", b"kept")])
    await websocket.send_json(dict(current_context()))
    await websocket.close()


ROUTES = [
    Route("/", show_context),
    Route("/thread", show_context_in_thread),
    Route("/crash", crash),
    Route("/own-header", set_own_header),
    WebSocketRoute("/ws", accept),
]


@pytest.fixture
def client() -> Iterator[TestClient]:
    with TestClient(AuditMiddleware(Starlette(routes=ROUTES)), raise_server_exceptions=False) as client:
        yield client


# Request ids


@pytest.mark.parametrize("request_id", ["r-1", "00-4bf92f3577b34da6-01", "Root=1:a/b+c@d_e.f", "x" * 128])
def test_a_sane_request_id_is_taken(client: TestClient, request_id: str) -> None:
    """What a proxy wrote into X-Request-ID is the id of the events and of the response."""
    response = client.get("/", headers={"X-Request-ID": request_id})
    assert response.json()["request_id"] == response.headers["X-Request-ID"] == request_id


def test_a_missing_request_id_is_made(client: TestClient) -> None:
    """Without the header a UUID is made, and the response tells it."""
    response = client.get("/")
    assert response.json()["request_id"] == response.headers["X-Request-ID"] == str(UUID(response.json()["request_id"]))


@pytest.mark.parametrize(
    "refused",
    [
        b"",
        b"-",
        b"none",
        b"None",
        b"NULL",
        b"a b",
        b"a,b",
        b"a\r\nSet-Cookie: x=1",
        b"a\n",
        b'"a"',
        b"\xe9",
        b"x" * 129,
    ],
)
def test_an_unfit_request_id_is_replaced(refused: bytes) -> None:
    """What is no id, or could break a header apart, is neither recorded nor sent back."""
    assert UUID(context_of([(b"x-request-id", refused)])["request_id"]).version == 7


def test_two_request_ids_are_none() -> None:
    """Of two ids neither can be right."""
    assert UUID(context_of([(b"x-request-id", b"one"), (b"x-request-id", b"two")])["request_id"])


def test_the_applications_own_header_is_replaced(client: TestClient) -> None:
    """The response carries the recorded id once, and the application's other headers."""
    response = client.get("/own-header", headers={"X-Request-ID": "r-1"})
    assert response.headers.get_list("X-Request-ID") == ["r-1"]
    assert response.headers["X-Other"] == "kept"


def test_the_header_can_have_another_name() -> None:
    """Some proxies call it X-Correlation-ID."""
    with TestClient(AuditMiddleware(Starlette(routes=ROUTES), header="X-Correlation-ID")) as client:
        response = client.get("/", headers={"X-Correlation-ID": "c-1", "X-Request-ID": "r-1"})
    assert response.json()["request_id"] == response.headers["X-Correlation-ID"] == "c-1"


def test_the_id_can_be_left_to_another_middleware() -> None:
    """Without a header the response keeps the id of the other middleware, which is the one on the row."""
    assert context_of([(b"x-request-id", b"r-1")], header=None) == {"source_ip": "192.0.2.7"}
    app = AuditMiddleware(Starlette(routes=[Route("/own", set_own_header)]), header=None)
    assert TestClient(app).get("/own").headers["X-Request-ID"] == "the application's"


@pytest.mark.parametrize("header", ["", "X Request", "X-Request-ID:", "X-Anfrage-Ü", "a\r\nb", 5, b"X-Id"])
def test_an_impossible_header_name_is_refused(header: Any) -> None:
    """The mistake shows at start, with the name that is wrong."""
    with pytest.raises(ConfigurationError, match=r"header .* is no HTTP header name"):
        AuditMiddleware(unexpected, header=header)


def test_a_websocket_gets_its_request_id_at_the_handshake(client: TestClient) -> None:
    """The accepted handshake carries the id that the events of the connection carry, and the application's headers."""
    with client.websocket_connect("/ws", headers={"X-Request-ID": "w-1"}) as websocket:
        assert websocket.receive_json()["request_id"] == "w-1"
        assert dict(websocket.extra_headers or ()) == {b"x-other": b"kept", b"x-request-id": b"w-1"}


def test_an_unhandled_exception_passes_through() -> None:
    """The server sees the application's own exception."""
    client = TestClient(AuditMiddleware(Starlette(routes=ROUTES)))
    with pytest.raises(LookupError, match="no such event"):
        client.get("/crash")


def test_an_error_page_carries_the_request_id(client: TestClient) -> None:
    """A user can quote the id of the very request that failed."""
    response = client.get("/crash", headers={"X-Request-ID": "r-500"})
    assert (response.status_code, response.headers["X-Request-ID"]) == (500, "r-500")


# The context


def test_endpoints_in_threads_see_the_context(client: TestClient) -> None:
    """A sync endpoint runs in the thread pool, in the context of its request."""
    response = client.get("/thread", headers={"X-Request-ID": "r-1", "User-Agent": "Test/1.0"})
    assert response.json() == {"request_id": "r-1", "user_agent": "Test/1.0"}


def test_a_user_agent_may_hold_any_byte() -> None:
    """Header bytes are Latin-1 (RFC 9110, 5.5), so that none of them fails the request."""
    assert context_of([(b"user-agent", b"T\xe9st/1.0")])["user_agent"] == "Tést/1.0"


def test_background_tasks_see_the_context() -> None:
    """What runs after the response still belongs to its request."""
    seen: list[Any] = []

    async def endpoint(request: Request) -> Response:
        return Response(background=BackgroundTask(lambda: seen.append(current_context()["request_id"])))

    TestClient(AuditMiddleware(Starlette(routes=[Route("/", endpoint)]))).get("/", headers={"X-Request-ID": "r-1"})
    assert seen == ["r-1"]


def test_nothing_remains_after_the_request() -> None:
    """The next request, and what runs between two, sees nothing of it."""

    async def run() -> Any:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            bind_audit_context(user_label="Alice")

        await AuditMiddleware(app)({"type": "http", "headers": [], "client": None}, unexpected, unexpected)
        return current_context()

    assert asyncio.run(run()) == {}


def test_concurrent_requests_do_not_mix() -> None:
    """Two requests in flight at once keep their own ids and their own users."""
    seen: dict[str, tuple[str, str]] = {}

    async def run() -> None:
        barrier = asyncio.Barrier(2)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            bind_audit_context(user_label=scope["path"])
            await barrier.wait()
            seen[scope["path"]] = (current_context()["request_id"], current_context()["user_label"])

        def request(name: str) -> Awaitable[None]:
            scope = {"type": "http", "path": name, "headers": [(b"x-request-id", name.encode())]}
            return AuditMiddleware(app)(scope, unexpected, unexpected)

        await asyncio.gather(request("a"), request("b"))

    asyncio.run(run())
    assert seen == {"a": ("a", "a"), "b": ("b", "b")}


def test_what_a_dependency_binds_reaches_the_endpoint() -> None:
    """FastAPI runs a sync dependency in a copy of the context; what it binds is the request's all the same."""
    app = FastAPI()

    def current_user() -> str:
        bind_audit_context(user_label="Alice")
        return "Alice"

    @app.get("/")
    async def endpoint(user: Annotated[str, Depends(current_user)]) -> dict[str, Any]:
        return dict(current_context())

    assert TestClient(AuditMiddleware(app)).get("/").json()["user_label"] == "Alice"


def test_a_framework_can_add_the_middleware_itself() -> None:
    """``app.add_middleware(AuditMiddleware)`` works where the order of middlewares is the framework's."""
    app = FastAPI()
    app.add_middleware(AuditMiddleware, header="X-Trace")
    assert "x-trace" in TestClient(app).get("/nowhere").headers


# The client's address


@pytest.mark.parametrize(
    ("peer", "source_ip"),
    [
        (("192.0.2.7", 1), "192.0.2.7"),
        (("2001:db8::7", 1), "2001:db8::7"),
        (("::ffff:192.0.2.7", 1), "192.0.2.7"),
        (("fe80::1%eth0", 1), None),
        (("testclient", 1), None),
        (("/run/site.sock", None), None),
        (("", 0), None),
        (None, None),
    ],
)
def test_the_peers_address_is_recorded_if_it_is_one(peer: Any, source_ip: str | None) -> None:
    """A socket's path or a zoned address would be refused by the column; it is left out."""
    assert context_of([], peer).get("source_ip") == source_ip


def test_forwarded_addresses_of_strangers_are_ignored() -> None:
    """Without a trusted proxy anybody could write any address on record."""
    assert forwarded("203.0.113.9", peer="198.51.100.1") == "198.51.100.1"


@pytest.mark.parametrize(
    ("lines", "source_ip"),
    [
        (["203.0.113.9"], "203.0.113.9"),
        (["203.0.113.9, 10.0.0.2, 10.0.0.3"], "203.0.113.9"),
        (["6.6.6.6, 203.0.113.9, 10.0.0.2"], "203.0.113.9"),
        (["6.6.6.6", "203.0.113.9", "10.0.0.2"], "203.0.113.9"),
        (["203.0.113.9:4711, 10.0.0.2:80"], "203.0.113.9"),
        (["2001:4860::9, 2001:db8::1"], "2001:4860::9"),
        (["[2001:4860::9]:4711, [2001:db8::1]"], "2001:4860::9"),
        (["::ffff:203.0.113.9, ::ffff:10.0.0.2"], "203.0.113.9"),
        ([" 203.0.113.9 ,, "], "203.0.113.9"),
        (["10.0.0.9, 10.0.0.2"], "10.0.0.9"),
        ([], "10.0.0.1"),
    ],
)
def test_the_last_untrusted_address_is_the_client(lines: list[str], source_ip: str) -> None:
    """Trusted proxies are skipped from the right; what the client itself wrote further left counts for nothing."""
    assert forwarded(*lines) == source_ip


@pytest.mark.parametrize("garbage", ["unknown", "_hidden", "203.0.113.9:port", "[::1", "' OR 1=1", "1.2.3", "\xb2"])
def test_garbage_ends_the_walk_at_the_last_good_address(garbage: str) -> None:
    """Nothing left of an unreadable hop can be believed."""
    assert forwarded(f"203.0.113.9, {garbage}, 10.0.0.2") == "10.0.0.2"


@pytest.mark.parametrize("proxy", ["*", "proxy.local", "10.0.0.1/8", "10.0.0.0/33", "", 5, None])
def test_a_wrong_proxy_is_refused_by_name(proxy: Any) -> None:
    """The mistake shows at start, with the entry that is wrong."""
    with pytest.raises(ConfigurationError, match=r"trusted_proxies: ") as caught:
        AuditMiddleware(unexpected, trusted_proxies=["127.0.0.1", proxy])
    assert str(proxy) in str(caught.value)


def test_a_single_string_of_proxies_is_refused() -> None:
    """A string is an iterable of characters, none of which is an address."""
    with pytest.raises(ConfigurationError, match=r"write a list, \['10\.0\.0\.1'\]"):
        AuditMiddleware(unexpected, trusted_proxies="10.0.0.1")


@pytest.mark.parametrize("proxies", [5, None, True])
def test_what_is_no_list_of_proxies_is_refused(proxies: Any) -> None:
    """The error says what it must be."""
    with pytest.raises(ConfigurationError, match=f"trusted_proxies must be a list .*, not {proxies}"):
        AuditMiddleware(unexpected, trusted_proxies=proxies)


def test_a_network_object_is_a_proxy() -> None:
    """Who computes networks need not write them as text."""
    assert forwarded("203.0.113.9", trusted=[ip_network("10.0.0.0/8")]) == "203.0.113.9"


# The lifespan

Lifespan = Callable[[Any], list[str]]


@pytest.fixture
def trail(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What happens in a lifespan, in order: the middleware's flushes, and the messages that reach the server."""
    trail: list[str] = []

    def flush(timeout: float | None = None) -> int:
        trail.append(f"flush({timeout})")
        return 0

    monkeypatch.setitem(sys.modules, "pglog_audit.handlers", SimpleNamespace(flush=flush))
    return trail


@pytest.fixture
def lifespan(trail: list[str]) -> Lifespan:
    """Run an application's lifespan as a server does; return the trail."""

    async def run(app: Any) -> None:
        messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

        async def receive() -> Any:
            return next(messages)

        async def send(message: Any) -> None:
            trail.append(message["type"].removeprefix("lifespan."))

        await AuditMiddleware(app)({"type": "lifespan"}, receive, send)

    def run_and_tell(app: Any) -> list[str]:
        asyncio.run(run(app))
        return trail

    return run_and_tell


def test_the_queue_is_flushed_before_the_server_hears_of_the_end(lifespan: Lifespan) -> None:
    """A server that ends itself by a signal loses nothing; what is logged after the answer is flushed as well."""
    assert lifespan(Starlette()) == ["startup.complete", "flush(5.0)", "shutdown.complete", "flush(None)"]


def test_the_queue_is_flushed_when_the_shutdown_fails(lifespan: Lifespan, trail: list[str]) -> None:
    """An error in the application's own clean-up costs no events."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await receive()
        await send({"type": "lifespan.shutdown.failed", "message": "no"})

    assert lifespan(app) == ["flush(5.0)", "shutdown.failed", "flush(None)"]


def test_the_flush_leaves_the_event_loop_running(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tasks of the application go on while the rows are written."""

    async def run() -> None:
        loop, ticked = asyncio.get_running_loop(), asyncio.Event()

        def flush(timeout: float | None = None) -> int:
            if timeout:
                asyncio.run_coroutine_threadsafe(ticked.wait(), loop).result(10)
            return 0

        monkeypatch.setitem(sys.modules, "pglog_audit.handlers", SimpleNamespace(flush=flush))
        messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

        async def receive() -> Any:
            return next(messages)

        async def send(message: Any) -> None:
            loop.call_soon(ticked.set)

        await AuditMiddleware(Starlette())({"type": "lifespan"}, receive, send)

    asyncio.run(run())


def test_an_application_that_refuses_the_lifespan_is_flushed_too(lifespan: Lifespan) -> None:
    """The middleware answers for it, so that the server tells when it shuts down."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"

    assert lifespan(app) == ["startup.complete", "flush(5.0)", "shutdown.complete", "flush(None)"]


def test_an_application_that_ignores_the_lifespan_is_flushed_too(lifespan: Lifespan) -> None:
    """Returning at once is as good as refusing."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        return

    assert lifespan(app) == ["startup.complete", "flush(5.0)", "shutdown.complete", "flush(None)"]


def test_a_failed_startup_is_not_hidden(lifespan: Lifespan, trail: list[str]) -> None:
    """An application that took the startup message and failed must not be served."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        raise LookupError("no database")

    with pytest.raises(LookupError, match="no database"):
        lifespan(app)
    assert trail == ["flush(None)"]


def test_events_left_behind_are_told(
    lifespan: Lifespan, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Loss is never silent, not even where no exit hook runs."""
    handlers = SimpleNamespace(flush=lambda timeout=None: 3, stats=lambda: {"problem": "no connection"})
    monkeypatch.setitem(sys.modules, "pglog_audit.handlers", handlers)
    monkeypatch.setattr("pglog_audit.diagnostics._last", {})
    lifespan(Starlette())
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "Audit events that were not written when the application had shut down: 3 (no connection)"
    ]


def test_other_scopes_pass_through() -> None:
    """A scope of an extension reaches the application as it is."""
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope, receive, send))

    scope = {"type": "webtransport"}
    asyncio.run(AuditMiddleware(app)(scope, unexpected, unexpected))
    assert seen == [(scope, unexpected, unexpected)]


def test_neither_a_framework_nor_psycopg_is_imported() -> None:
    """The middleware costs nothing that the application does not use already, not even at shutdown."""
    code = (
        "import asyncio, sys\n"
        "from pglog_audit.integrations.asgi import AuditMiddleware\n"
        "async def app(scope, receive, send): pass\n"
        "async def receive(): return {'type': 'lifespan.shutdown'}\n"
        "async def send(message): pass\n"
        "asyncio.run(AuditMiddleware(app)({'type': 'lifespan'}, receive, send))\n"
        "print({'psycopg', 'starlette', 'anyio'} & set(sys.modules))\n"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"
