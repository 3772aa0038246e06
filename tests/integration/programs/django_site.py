"""Serve a Django site over HTTP, ask it for the paths that the arguments name, and print the ids of the responses."""

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from django.conf import settings
from django.core.signals import request_finished
from django.core.wsgi import get_wsgi_application
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path

from pglog_audit import AuditHandler, audit, bind_audit_context
from pglog_audit.integrations.wsgi import AuditMiddleware

logger = logging.getLogger("audit")
logger.setLevel(logging.INFO)
logger.addHandler(AuditHandler())


def view(request: HttpRequest) -> HttpResponse:
    """Audit from a view."""
    bind_audit_context(user_label=request.path)
    logger.info("Seen", extra=audit("page.view"))
    return HttpResponse("seen")


async def async_view(request: HttpRequest) -> HttpResponse:
    """Audit from a coroutine."""
    return view(request)


def stream(request: HttpRequest) -> StreamingHttpResponse:
    """Audit from a response that is made piece by piece."""
    bind_audit_context(user_label=request.path)

    def pieces() -> Iterator[bytes]:
        logger.info("Begun", extra=audit("page.begin"))
        yield b"piece"
        logger.info("Seen", extra=audit("page.view"))

    return StreamingHttpResponse(pieces())


def file(request: HttpRequest) -> FileResponse:
    """Send this file, which Django hands to the server's own wrapper."""
    bind_audit_context(user_label=request.path)
    return FileResponse(open(__file__, "rb"))


def audit_end(**_: Any) -> None:
    """Audit when the server closes the response."""
    logger.info("Finished", extra=audit("request.finish"))
    finished.release()


class Quiet(WSGIRequestHandler):
    """A request handler that logs nothing on stderr."""

    def log_message(self, *_: Any) -> None:
        """Keep the line."""


urlpatterns = [path("view", view), path("async-view", async_view), path("stream", stream), path("file", file)]
settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, USE_TZ=True)
request_finished.connect(audit_end)
finished = threading.Semaphore(0)

with make_server("127.0.0.1", 0, AuditMiddleware(get_wsgi_application()), handler_class=Quiet) as server:
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    for asked in sys.argv[1:]:
        with closing(HTTPConnection("127.0.0.1", server.server_port)) as connection:
            connection.request("GET", asked)
            response = connection.getresponse()
            response.read()
            print(response.headers["X-Request-ID"])
        finished.acquire()
    server.shutdown()
    thread.join()
