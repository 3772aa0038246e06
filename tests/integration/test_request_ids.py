"""The id of the request and of the trace on real rows, from the libraries that an application has anyway."""

import subprocess
import sys

import pytest
from asgi_correlation_id import CorrelationIdMiddleware
from fastapi import Depends, FastAPI
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from pglog_audit import audit, bind_audit_context
from pglog_audit.integrations.asgi import AuditMiddleware
from tests.support import configure, flush, run_program
from tests.unit.test_asgi import TestClient

LIBRARIES = "asgi_correlation_id django django_guid opentelemetry starlette starlette_context structlog"


def test_the_ids_of_a_fastapi_application(database):
    """Under the middlewares of others each row has the id of its response and the trace of its span."""
    logger = configure(database.writer)
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("test")
    app = FastAPI()
    app.add_middleware(CorrelationIdMiddleware)

    @app.post("/orders")
    def order() -> str:
        with tracer.start_as_current_span("order") as span:
            logger.info("Ordered", extra=audit("order.place"))
            return trace.format_trace_id(span.get_span_context().trace_id)

    replies = [TestClient(app).post("/orders") for _ in range(3)]
    flush(logger)
    assert [(row["request_id"], row["trace_id"]) for row in database.rows()] == [
        (reply.headers["X-Request-ID"], reply.json()) for reply in replies
    ]


@pytest.mark.parametrize("ours_is_outside", [False, True])
def test_beside_the_middleware_of_another(database, ours_is_outside):
    """With header=None ours binds the user for the whole request, and the other's id is in row and response, once."""
    logger = configure(database.writer)
    middlewares = [(CorrelationIdMiddleware, {}), (AuditMiddleware, {"header": None})]
    app = FastAPI(dependencies=[Depends(lambda: bind_audit_context(user_label="alice"))])
    for middleware, options in middlewares if ours_is_outside else reversed(middlewares):
        app.add_middleware(middleware, **options)

    @app.post("/orders")
    def order() -> None:
        logger.info("Ordered", extra=audit("order.place"))

    reply = TestClient(app).post("/orders")
    flush(logger)
    [row] = database.rows()
    assert row["user_label"] == "alice"
    assert [row["request_id"]] == reply.headers.get_list("X-Request-ID")


def test_the_ids_of_a_django_application(database):
    """Under django-guid's middleware each row, also of an asynchronous view, has the id of its response."""
    done = run_program("django_guid_site.py", database.writer, "/view", "/async-view", "/view", python=("-W", "error"))
    assert done.returncode == 0, done.stderr
    ids = done.stdout.split()
    assert len(set(ids)) == 3
    assert [row["request_id"] for row in database.rows()] == ids


def test_no_library_is_imported(database, monkeypatch):
    """A program that uses none of them does not load them for being audited."""
    monkeypatch.setenv("PGLOG_AUDIT_CONNINFO", database.writer)
    code = (
        "import logging, sys\n"
        "from pglog_audit import AuditHandler, audit\n"
        "logging.getLogger().addHandler(AuditHandler())\n"
        "logging.warning('Ordered', extra=audit('order.place'))\n"
        f"print(set({LIBRARIES.split()}) & {{name.partition('.')[0] for name in sys.modules}})\n"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"
    [row] = database.rows()
    assert (row["request_id"], row["trace_id"]) == (None, None)
