"""
WSGI: who asked, and under which request id, on every audit event of a request, to the end of its response.

Put it around the whole application::

    app.wsgi_app = AuditMiddleware(app.wsgi_app)  # Flask
    application = AuditMiddleware(get_wsgi_application())  # Django's wsgi.py

It speaks plain WSGI (PEP 3333) and imports no framework.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from types import TracebackType
from typing import Any, TypeAlias
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from ..context import RequestContext
from .origin import OriginRules, environ_values

ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]

_FILE_WRAPPER = "wsgi.file_wrapper"


class AuditMiddleware:
    """
    Give every audit event of a request its ``request_id``, ``source_ip`` and ``user_agent``.

    :param app: the WSGI application.
    :param header: where the request id comes from and goes back to. An incoming one is taken if the header stands
        there once, has 1 to 128 characters of ``A-Z a-z 0-9 . _ : / + = @ -`` and is not ``-``, ``none`` or ``null``;
        otherwise a new UUIDv7 is made. The response carries that id alone, whatever the application set there. None
        leaves all that to another middleware, whose id the option *request_id_from* finds.
    :param trusted_proxies: addresses and networks (``"10.0.0.0/8"``) whose ``X-Forwarded-For`` is believed: read from
        the right, the first address that is none of them is the client. There is no ``"*"``: it would let clients
        choose the address on record.
    :raises ConfigurationError: *header* is no header name, or one of *trusted_proxies* no address or network.

    :func:`pglog_audit.bind_audit_context` anywhere in the request adds to the same fields, for the rest of it. They
    hold while the response is iterated and closed, and not between two of its pieces.

    What is queued when the server ends is written by Python's exit hooks. gunicorn's sync, gthread and gevent workers
    run them when they end by SIGTERM; waitress and ``flask run`` do so by SIGINT (Ctrl-C) alone, unless the program
    turns SIGTERM into ``sys.exit``.
    """

    def __init__(
        self, app: WSGIApplication, *, header: str | None = "X-Request-ID", trusted_proxies: Iterable[str] = ()
    ) -> None:
        self._app = app
        self._rules = OriginRules(header, trusted_proxies)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Run the application, and later its response, in the context of its request."""
        fields = self._rules.fields(partial(environ_values, environ), environ.get("REMOTE_ADDR", ""))
        context = RequestContext(**fields)
        start = start_response
        if header := self._rules.header:
            start = partial(_start, start_response, header, fields["request_id"])
        with _FileResponses(environ, context) as file_responses:
            response = context.run(self._app, environ, start)
        # A server looks for its own type, and for the length of a list; to read either runs no code of the application.
        if type(response) in (list, tuple) or response is file_responses.last:
            return response
        return _Response(response, context)


def _start(
    start_response: StartResponse,
    header: str,
    request_id: str,
    status: str,
    headers: list[tuple[str, str]],
    exc_info: ExcInfo | None = None,
) -> Callable[[bytes], object]:
    """Start the response with *request_id* in its *header*, and no other id."""
    others = [(name, value) for name, value in headers if name.lower() != header.lower()]
    try:
        # Servers need not take the third one when there is none to take.
        return start_response(status, [*others, (header, request_id)], *([exc_info] if exc_info else []))
    finally:
        exc_info = None  # its traceback may hold this very frame (PEP 3333)


class _Response:
    """The iterable of a response: each piece is made in the context of its request, and so is the end."""

    def __init__(self, response: Iterable[bytes], context: RequestContext) -> None:
        self._response = response
        self._context = context

    def __iter__(self) -> Iterator[bytes]:
        self._pieces = self._context.run(iter, self._response)
        return self

    def __next__(self) -> bytes:
        return self._context.run(self._pieces.__next__)

    def close(self) -> None:
        if close := getattr(self._response, "close", None):
            self._context.run(close)


class _File(_Response):
    """The file of a response, which a server may send by its number, and else reads, and closes."""

    def __init__(self, file: Any, context: RequestContext) -> None:
        super().__init__(file, context)
        self._file = file

    def read(self, *size: int) -> Any:
        return self._context.run(self._file.read, *size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class _FileResponses:
    """
    What the application makes with ``wsgi.file_wrapper``, as long as it is in a ``with`` block.

    A server sends it quickly if it gets back what it gave, so the request's context goes inside, around the file.
    """

    def __init__(self, environ: WSGIEnvironment, context: RequestContext) -> None:
        self._environ = environ
        self._context = context
        self._wrap = environ.get(_FILE_WRAPPER)
        self.last: object = None

    def __enter__(self) -> "_FileResponses":
        if self._wrap:
            self._environ[_FILE_WRAPPER] = self._make
        return self

    def __exit__(self, *_: object) -> None:
        # The server compares what it gets back with the wrapper that stands here, and that must be its own.
        if self._wrap:
            self._environ[_FILE_WRAPPER] = self._wrap

    def _make(self, file: Any, *block_size: int) -> Any:
        self.last = self._wrap(_File(file, self._context), *block_size)  # type: ignore[misc] # see __enter__
        return self.last
