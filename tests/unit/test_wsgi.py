"""The WSGI middleware, under the standard library's server and its validator, and around real Flask applications."""

import contextvars
import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import UUID
from wsgiref.handlers import SimpleHandler
from wsgiref.headers import Headers
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest
from flask import Flask, Response, g, send_file, stream_with_context

from pglog_audit import audit_context, bind_audit_context
from pglog_audit.context import current_context
from pglog_audit.errors import ConfigurationError
from pglog_audit.integrations.wsgi import AuditMiddleware

PLAIN = [("Content-Type", "text/plain")]


class Server(SimpleHandler):
    """The standard library's server for one request, which can send a file by its number."""

    wsgi_run_once = False
    sent_by_number = False

    def __init__(self, environ: dict[str, Any]) -> None:
        self.output = BytesIO()
        self.errors = sys.stderr
        super().__init__(BytesIO(), self.output, self.errors, {**request(), **environ})

    def sendfile(self) -> bool:
        """Send the file past the application."""
        self.send_headers()
        number = self.result.filelike.fileno()
        self._write(os.pread(number, os.fstat(number).st_size, 0))
        self.sent_by_number = True
        return True

    def log_exception(self, exc_info: Any) -> None:
        """Show the test what went wrong."""
        raise exc_info[1]

    @property
    def response(self) -> tuple[str, Headers, bytes]:
        """What the client receives."""
        head, _, body = self.output.getvalue().partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        return status.removeprefix("HTTP/1.0 "), Headers([tuple(line.split(": ", 1)) for line in lines]), body


def request(**environ: Any) -> dict[str, Any]:
    """Return what a server says of a request."""
    setup_testing_defaults(environ)
    return {"QUERY_STRING": "", **environ}


def serve(app: Any, environ: dict[str, Any] | None = None, **options: Any) -> Server:
    """Serve one request, with a validator on both sides of the middleware."""
    server = Server(environ or {})
    server.run(validator(AuditMiddleware(validator(app), **options)))
    return server


def hello(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [*PLAIN, ("x-request-id", "the application's"), ("X-Other", "kept")])
    return [b"hello"]


def context_of(environ: dict[str, Any], **options: Any) -> dict[str, Any]:
    """Return the context that an application sees in one request."""
    seen: dict[str, Any] = {}

    def app(environ: Any, start_response: Any) -> list[bytes]:
        seen.update(current_context())
        return hello(environ, start_response)

    serve(app, environ, **options)
    return seen


def ids() -> Any:
    return current_context().get("request_id")


# Request ids


@pytest.mark.parametrize("request_id", ["r-1", "Root=1:a/b+c@d_e.f", "x" * 128])
def test_a_sane_request_id_is_taken(request_id: str) -> None:
    """What a proxy wrote into X-Request-ID is the id of the events."""
    assert context_of({"HTTP_X_REQUEST_ID": request_id})["request_id"] == request_id


@pytest.mark.parametrize(
    "environ", [{}, *({"HTTP_X_REQUEST_ID": value} for value in ("", "-", "a b", "one,two", "\xe9"))]
)
def test_an_unfit_request_id_is_replaced(environ: dict[str, str]) -> None:
    """None, an impossible one or two, which the server joins with a comma: a new id is made."""
    assert UUID(context_of(environ)["request_id"]).version == 7


def test_the_response_carries_the_id_alone() -> None:
    """The application's own header of that name is replaced, in whatever case it is; its others are kept."""
    status, headers, body = serve(hello, {"HTTP_X_REQUEST_ID": "r-1"}).response
    assert (status, body) == ("200 OK", b"hello")
    assert (headers.get_all("X-Request-ID"), headers["X-Other"]) == (["r-1"], "kept")


def test_the_header_can_have_another_name() -> None:
    """Some proxies call it X-Correlation-ID."""
    environ = {"HTTP_X_CORRELATION_ID": "c-1", "HTTP_X_REQUEST_ID": "r-1"}
    assert context_of(environ, header="x-correlation-id")["request_id"] == "c-1"
    assert serve(hello, environ, header="X-Correlation-ID").response[1]["X-Correlation-ID"] == "c-1"


def test_the_id_can_be_left_to_another_middleware() -> None:
    """Without a header the response keeps the application's own, and the request gets no id from here."""
    environ = {"HTTP_X_REQUEST_ID": "r-1", "HTTP_USER_AGENT": "Test"}
    assert context_of(environ, header=None) == {"user_agent": "Test"}
    assert serve(hello, environ, header=None).response[1].get_all("X-Request-ID") == ["the application's"]


@pytest.mark.parametrize("header", ["", "X Request", "X-Anfrage-Ü", "a\r\nb", 5, b"X-Request-ID"])
def test_an_impossible_header_name_is_refused(header: Any) -> None:
    """The mistake shows at start, with the name that is wrong."""
    with pytest.raises(ConfigurationError, match=r"header .* is no HTTP header name"):
        AuditMiddleware(hello, header=header)


# The origin


def test_the_origin_of_the_request() -> None:
    """Address and program of the client are recorded."""
    environ = {"REMOTE_ADDR": "192.0.2.7", "HTTP_USER_AGENT": "T\xe9st/1.0", "HTTP_X_FORWARDED_FOR": "6.6.6.6"}
    assert context_of(environ, header="X-Id").items() >= {"source_ip": "192.0.2.7", "user_agent": "Tést/1.0"}.items()


@pytest.mark.parametrize("peer", [{}, {"REMOTE_ADDR": ""}, {"REMOTE_ADDR": "unix:/run/site.sock"}])
def test_no_address_of_a_socket(peer: dict[str, str]) -> None:
    """A server behind a Unix socket knows no address."""
    assert "source_ip" not in context_of(peer)


@pytest.mark.parametrize(
    ("forwarded", "source_ip"),
    [("6.6.6.6, 203.0.113.9:4711, 10.0.0.2", "203.0.113.9"), ("unknown, 10.0.0.2", "10.0.0.2"), ("", "10.0.0.1")],
)
def test_the_last_untrusted_address_is_the_client(forwarded: str, source_ip: str) -> None:
    """What trusted proxies forwarded is believed, and what the client itself wrote further left is not."""
    environ = {"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": forwarded}
    assert context_of(environ, trusted_proxies=["10.0.0.0/8"])["source_ip"] == source_ip


@pytest.mark.parametrize("proxies", ["10.0.0.1", ["*"], [5], 5, None])
def test_wrong_proxies_are_refused(proxies: Any) -> None:
    """The mistake shows at start."""
    with pytest.raises(ConfigurationError, match="trusted_proxies"):
        AuditMiddleware(hello, trusted_proxies=proxies)


# The response


class Recorded:
    """A response that records, at each step of its server, in which request it is."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def __iter__(self) -> Iterator[bytes]:
        self.seen.append(("iter", ids()))
        return self.pieces()

    def pieces(self) -> Iterator[bytes]:
        """Yield two pieces."""
        try:
            for piece in (b"a", b"b"):
                self.seen.append((piece, ids()))
                yield piece
        finally:
            self.seen.append(("end", ids()))

    def close(self) -> None:
        """Tell that this was called, and where."""
        self.seen.append(("close", ids()))


def test_a_streamed_response_is_part_of_its_request() -> None:
    """The context holds while the response is iterated, at its end, and while it is closed: once."""
    response = Recorded()

    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", PLAIN)
        return response

    server = Server({"HTTP_X_REQUEST_ID": "r-1"})
    server.run(AuditMiddleware(app))
    assert server.response[2] == b"ab"
    assert response.seen == [(step, "r-1") for step in ("iter", b"a", b"b", "end", "close")]


def test_a_response_may_start_late() -> None:
    """An application that is a generator starts its response with its first piece, and the id is there too."""

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)
        yield ids().encode()

    _, headers, body = serve(app, {"HTTP_X_REQUEST_ID": "r-1"}).response
    assert (headers["X-Request-ID"], body) == ("r-1", b"r-1")


@pytest.mark.parametrize("as_keyword", [False, True])
def test_a_response_may_start_again(as_keyword: bool) -> None:
    """An error page in place of a response that was not sent yet carries the id once."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", PLAIN)
        try:
            environ["no such key"]
        except KeyError:
            if as_keyword:
                start_response("500 Oh", PLAIN, exc_info=sys.exc_info())
            else:
                start_response("500 Oh", PLAIN, sys.exc_info())
        return [b"oh"]

    server = Server({"HTTP_X_REQUEST_ID": "r-1"})
    server.run(AuditMiddleware(app))
    status, headers, body = server.response
    assert (status, headers.get_all("X-Request-ID"), body) == ("500 Oh", ["r-1"], b"oh")


def test_a_response_that_was_sent_cannot_start_again() -> None:
    """The server raises the application's error, as it would without the middleware."""

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)
        yield b"a"
        try:
            environ["no such key"]
        except KeyError:
            start_response("500 Oh", PLAIN, sys.exc_info())

    with pytest.raises(KeyError, match="no such key"):
        Server({}).run(AuditMiddleware(app))
    assert current_context() == {}


def test_a_server_need_not_take_exc_info() -> None:
    """Where there is no error, start_response is called with two arguments, as the application did."""
    started: list[Any] = []
    response = AuditMiddleware(hello)(request(HTTP_X_REQUEST_ID="r-1"), lambda *given: started.append(given))
    assert response == [b"hello"]
    assert started == [("200 OK", [*PLAIN, ("X-Other", "kept"), ("X-Request-ID", "r-1")])]


def test_write_is_the_servers() -> None:
    """Applications of the old style write instead of returning pieces."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        write = start_response("200 OK", PLAIN)
        write(b"a")
        write(b"b")
        return [b"c"]

    assert serve(app).response[2] == b"abc"


def test_the_length_of_a_list_is_known() -> None:
    """A server tells the length of a response that is one piece, as it would without the middleware."""
    server = Server({})
    server.run(AuditMiddleware(hello))
    assert server.response[1]["Content-Length"] == "5"


def test_a_response_without_an_end_is_ended() -> None:
    """An iterable that has no close is not asked for it."""

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)
        return map(bytes, [b"a", b"b"])

    server = Server({})
    server.run(AuditMiddleware(app))
    assert server.response[2] == b"ab"


def test_an_exception_passes_through() -> None:
    """The server sees the application's own exception, and nothing remains in force."""

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        raise LookupError("no such event")

    with pytest.raises(LookupError, match="no such event"):
        AuditMiddleware(app)(request(), lambda *given: None)
    assert current_context() == {}


# Files


class Photo:
    """A file that records in which request it is read and closed."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("rb")
        self.seen: list[Any] = []

    def fileno(self) -> int:
        """Return the number by which it can be sent."""
        return self.file.fileno()

    def read(self, *size: int) -> bytes:
        """Tell that this was called, and where."""
        self.seen.append(("read", ids()))
        return self.file.read(*size)

    def close(self) -> None:
        """Tell that this was called, and where."""
        self.seen.append(("close", ids()))
        self.file.close()


@pytest.fixture
def photo(tmp_path: Path) -> Iterator[Photo]:
    path = tmp_path / "photo"
    path.write_bytes(b"pixels")
    photo = Photo(path)
    yield photo
    photo.file.close()


def sender(photo: Photo) -> Any:
    """Return an application that sends *photo* as WSGI proposes."""

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [*PLAIN, ("Content-Length", "6")])
        return environ["wsgi.file_wrapper"](photo, 4)

    return app


@pytest.mark.parametrize("wrap", [lambda app: app, AuditMiddleware], ids=["alone", "in another"])
def test_a_file_is_sent_by_its_number(photo: Photo, wrap: Any) -> None:
    """The server recognises its own wrapper and need not read; that the file is closed is part of the request."""
    server = Server({"HTTP_X_REQUEST_ID": "r-1"})
    server.run(wrap(AuditMiddleware(sender(photo))))
    assert server.sent_by_number
    assert server.response[2] == b"pixels"
    assert photo.seen == [("close", "r-1")]


def test_a_file_may_be_read(photo: Photo) -> None:
    """A server that cannot send it by number reads it, in the context of the request."""
    server = Server({"HTTP_X_REQUEST_ID": "r-1"})
    server.sendfile = lambda: False  # type: ignore[method-assign]
    server.run(AuditMiddleware(sender(photo)))
    assert server.response[2] == b"pixels"
    assert photo.seen == [("read", "r-1")] * 3 + [("close", "r-1")]


def test_a_wrapper_that_is_no_class(photo: Photo) -> None:
    """A server may compare the response with what it gave (uWSGI does), and finds its own wrapper in its environ."""
    given: list[Any] = []

    def wrapper(file: Any, block_size: int) -> Any:
        given.append(file)
        return file

    environ = request(**{"wsgi.file_wrapper": wrapper})
    response = AuditMiddleware(sender(photo))(environ, lambda *given: None)
    assert [response] == given
    assert b"".join(iter(lambda: response.read(4), b"")) == b"pixels"
    assert environ["wsgi.file_wrapper"] is wrapper


def test_a_server_without_a_wrapper_gets_none() -> None:
    """An application that asks whether there is one hears the truth."""
    environ = request()
    AuditMiddleware(hello)(environ, lambda *given: None)
    assert "wsgi.file_wrapper" not in environ


# One request and others


def pieces_of(app: Any, **environ: Any) -> Iterator[bytes]:
    """Return the pieces of a response that the server has not asked for yet."""
    return iter(AuditMiddleware(app)(request(**environ), lambda *given: None))


def streaming(environ: Any, start_response: Any) -> Iterator[bytes]:
    """Tell in each piece who is acting: nobody, a user who is bound, twice in a block inside, and the user again."""
    start_response("200 OK", PLAIN)
    yield repr(dict(current_context())).encode()
    bind_audit_context(user_label=ids())
    with audit_context(event_id=ids()):
        yield repr(dict(current_context())).encode()
        yield repr(dict(current_context())).encode()
    yield repr(dict(current_context())).encode()


def told_by(request_id: str) -> list[bytes]:
    """Return what *streaming* tells in the request with this id."""
    request = {"request_id": request_id}
    user = {**request, "user_label": request_id}
    seen = [request, *[{**user, "event_id": request_id}] * 2, user]
    return [repr(fields).encode() for fields in seen]


def test_nothing_is_in_force_between_two_pieces() -> None:
    """What the server does meanwhile, in the same thread, is no part of the request."""
    seen = [(piece, dict(current_context())) for piece in pieces_of(streaming, HTTP_X_REQUEST_ID="1")]
    assert seen == [(piece, {}) for piece in told_by("1")]


def test_two_responses_in_one_thread_do_not_mix() -> None:
    """Responses whose pieces take turns keep their ids, users and blocks apart."""
    both = zip(*(pieces_of(streaming, HTTP_X_REQUEST_ID=name) for name in "12"), strict=True)
    assert list(both) == list(zip(told_by("1"), told_by("2"), strict=True))


def test_pieces_may_come_from_several_threads() -> None:
    """A server may hand a response on; request and blocks go with it, whatever context a piece is made in."""
    pieces, seen = pieces_of(streaming, HTTP_X_REQUEST_ID="1"), []
    for _ in range(4):
        thread = threading.Thread(target=lambda: contextvars.Context().run(lambda: seen.append(next(pieces))))
        thread.start()
        thread.join()
    assert seen == told_by("1")


def test_a_response_that_is_given_up_ends_in_its_request() -> None:
    """A client that goes away ends the generator inside its block; the next request sees nothing of it."""
    first = AuditMiddleware(streaming)(request(HTTP_X_REQUEST_ID="1"), lambda *given: None)
    pieces = iter(first)
    assert [next(pieces), next(pieces)] == told_by("1")[:2]
    first.close()  # type: ignore[attr-defined]
    assert current_context() == {}
    assert list(pieces_of(streaming, HTTP_X_REQUEST_ID="2")) == told_by("2")


def test_what_a_request_binds_ends_with_it() -> None:
    """The next request of the same thread, and what runs between two, does not know the user."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        before = dict(current_context())
        bind_audit_context(user_label="Alice")
        start_response("200 OK", PLAIN)
        return [repr(before).encode()]

    for _ in range(2):
        assert serve(app, {"HTTP_X_REQUEST_ID": "r-1"}).response[2] == b"{'request_id': 'r-1'}"
        assert current_context() == {}


def test_context_variables_of_others_are_left_alone() -> None:
    """What the application keeps for its thread is still there in the next request: a cache's connection, say."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="new")

    def app(environ: Any, start_response: Any) -> list[bytes]:
        found = variable.get()
        variable.set("kept")
        start_response("200 OK", PLAIN)
        return [found.encode()]

    def run() -> list[bytes]:
        return [serve(app).response[2] for _ in range(2)]

    assert contextvars.copy_context().run(run) == [b"new", b"kept"]


# Flask


@pytest.fixture
def flask() -> Flask:
    """Return a Flask application in the middleware, whose users come in a header."""
    app = Flask(__name__)
    app.wsgi_app = AuditMiddleware(app.wsgi_app)  # type: ignore[method-assign]

    @app.before_request
    def sign_in() -> None:
        g.user = "Alice"
        bind_audit_context(user_label="Alice")

    @app.get("/")
    def show() -> dict[str, Any]:
        return dict(current_context())

    @app.get("/stream")
    def stream() -> Response:
        def pieces() -> Iterator[str]:
            for _ in range(2):
                yield f"{g.user} {current_context()['user_label']} {ids()};"

        response = Response(stream_with_context(pieces()))
        response.call_on_close(lambda: closed.append(ids()))
        return response

    @app.get("/file")
    def file() -> Response:
        return send_file(__file__)

    @app.get("/crash")
    def crash() -> str:
        raise LookupError

    closed = app.extensions["closed"] = []
    return app


def test_flask_sees_the_context(flask: Flask) -> None:
    """What before_request binds reaches the view; the response has its id."""
    reply = flask.test_client().get("/", headers={"X-Request-ID": "r-1", "User-Agent": "Test"})
    assert reply.headers.getlist("X-Request-ID") == ["r-1"]
    assert reply.json == {
        "request_id": "r-1",
        "source_ip": "127.0.0.1",
        "user_agent": "Test",
        "user_label": "Alice",
    }


def test_flask_streams_with_its_context_and_ours(flask: Flask) -> None:
    """stream_with_context and the middleware go together, with nothing buffered."""
    reply = flask.test_client().get("/stream", headers={"X-Request-ID": "r-1"}, buffered=False)
    assert list(reply.iter_encoded()) == [b"Alice Alice r-1;"] * 2
    reply.close()
    assert flask.extensions["closed"] == ["r-1"]
    assert current_context() == {}


def test_flask_sends_a_file(flask: Flask) -> None:
    """What send_file makes is sent by its number where the server can do that."""
    server = Server({"PATH_INFO": "/file", "HTTP_X_REQUEST_ID": "r-1"})
    server.run(flask)
    assert server.sent_by_number
    _, headers, body = server.response
    assert (headers["X-Request-ID"], body) == ("r-1", Path(__file__).read_bytes())


def test_flasks_error_page_carries_the_request_id(flask: Flask) -> None:
    """A user can quote the id of the very request that failed."""
    reply = flask.test_client().get("/crash", headers={"X-Request-ID": "r-500"})
    assert (reply.status_code, reply.headers["X-Request-ID"]) == (500, "r-500")


def test_flasks_test_client_keeps_its_context(flask: Flask) -> None:
    """A test that looks at Flask's own context after a request finds it, and none of ours."""
    with flask.test_client() as client:
        client.get("/")
        assert g.user == "Alice"
        assert current_context() == {}


def test_neither_a_framework_nor_psycopg_is_imported() -> None:
    """The middleware costs nothing that the application does not use already."""
    code = (
        "import sys\n"
        "from pglog_audit.integrations.wsgi import AuditMiddleware\n"
        "app = AuditMiddleware(lambda environ, start_response: [b''])\n"
        "list(app({}, None))\n"
        "print({'psycopg', 'flask', 'werkzeug', 'django', 'asyncio'} & set(sys.modules))\n"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"
