"""What the real libraries of an application tell about a request, in what is stored of an event logged in it."""

import json
import logging
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any
from uuid import uuid4

import django_guid
import pytest
import starlette_context
from asgi_correlation_id import CorrelationIdMiddleware, correlation_id
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette_context.middleware import RawContextMiddleware
from starlette_context.plugins import CorrelationIdPlugin, RequestIdPlugin
from structlog.contextvars import bind_contextvars, clear_contextvars

from pglog_audit import AuditFormatter, audit_context
from pglog_audit.integrations.asgi import AuditMiddleware
from tests.support import warnings
from tests.unit.test_asgi import TestClient


def stored(formatter: AuditFormatter | None = None, *, given: Any = None, **attributes: Any) -> dict[str, Any]:
    """Return what is stored of an event logged here and now."""
    event = {"action": "a.b", **(given or {})}
    record = logging.makeLogRecord({"name": "audit", "msg": "A", "levelno": logging.INFO, "audit": event, **attributes})
    snapshot: dict[str, Any] = json.loads((formatter or AuditFormatter()).format(record))
    return snapshot


def show_coroutine_or_thread(*middleware: Middleware) -> TestClient:
    """Return the client of a site that shows what is stored of an event in a coroutine, and in a thread."""

    async def in_coroutine(request: Request) -> JSONResponse:
        return JSONResponse(stored())

    def in_thread(request: Request) -> JSONResponse:
        return JSONResponse(stored())

    routes = [Route("/coroutine", in_coroutine), Route("/thread", in_thread)]
    return TestClient(Starlette(routes=routes, middleware=middleware))


@pytest.fixture(autouse=True)
def _nothing_bound() -> Iterator[None]:
    """Leave nothing behind in the context that all tests run in."""
    clear_contextvars()
    token = correlation_id.set(None)
    yield
    correlation_id.reset(token)
    clear_contextvars()


# Request ids


@pytest.mark.parametrize("path", ["/coroutine", "/thread"])
def test_the_id_of_asgi_correlation_id(path: str) -> None:
    """Under CorrelationIdMiddleware the event has the id of the response."""
    response = show_coroutine_or_thread(Middleware(CorrelationIdMiddleware)).get(path)
    assert response.json()["request_id"] == response.headers["X-Request-ID"]


@pytest.mark.parametrize("order", [1, -1], ids=["ours inside", "ours outside"])
def test_the_id_of_asgi_correlation_id_beside_ours(order: int) -> None:
    """Where an application has both middlewares, in whatever order, response and event have one id."""
    both = [Middleware(CorrelationIdMiddleware), Middleware(AuditMiddleware)]
    response = show_coroutine_or_thread(*both[::order]).get("/thread")
    assert set(response.headers.get_list("X-Request-ID")) == {response.json()["request_id"]}


@pytest.mark.parametrize("path", ["/coroutine", "/thread"])
@pytest.mark.parametrize(
    ("plugin", "header"), [(RequestIdPlugin, "X-Request-ID"), (CorrelationIdPlugin, "X-Correlation-ID")]
)
def test_the_id_of_starlette_context(plugin: Any, header: str, path: str) -> None:
    """Under starlette-context's middleware the event has the id that one of its two plugins keeps."""
    response = show_coroutine_or_thread(Middleware(RawContextMiddleware, plugins=(plugin(),))).get(path)
    assert response.json()["request_id"] == response.headers[header]


def test_no_id_of_starlette_context() -> None:
    """A middleware without these plugins has no id, and that is no error."""
    response = show_coroutine_or_thread(Middleware(RawContextMiddleware)).get("/coroutine")
    assert "request_id" not in response.json()


@pytest.mark.parametrize("key", ["request_id", "correlation_id"])
@pytest.mark.parametrize("value", ["r-1", uuid4()])
def test_the_id_of_structlog(key: str, value: Any) -> None:
    """What was bound to structlog's context under one of two names is the id."""
    bind_contextvars(**{key: value, "other": "x"})
    assert stored()["request_id"] == str(value)


def test_structlogs_word_for_none() -> None:
    """An id that is none is passed over for the next."""
    bind_contextvars(request_id="-", correlation_id="c-1")
    assert stored()["request_id"] == "c-1"


def test_nothing_is_known_outside_of_a_request() -> None:
    """With all libraries imported and none of them in a request there is no id and no trace."""
    assert {"asgi_correlation_id.context", "django_guid", "starlette_context", "structlog.contextvars"} <= set(
        sys.modules
    )
    assert stored().keys() & {"request_id", "trace_id"} == set()


@pytest.mark.parametrize(
    ("given", "attributes", "context", "expected"),
    [
        ({"request_id": "call"}, {"request_id": "record"}, {"request_id": "context"}, "call"),
        ({}, {"request_id": "record"}, {"request_id": "context"}, "record"),
        ({}, {"correlation_id": "record"}, {"request_id": "context"}, "record"),
        ({}, {"request_id": "-"}, {"request_id": "context"}, "context"),
        ({"request_id": ""}, {"request_id": "-"}, {"request_id": "none"}, "asgi-correlation-id"),
        ({}, {}, {}, "asgi-correlation-id"),
    ],
)
def test_libraries_are_asked_last(given: Any, attributes: Any, context: Any, expected: str) -> None:
    """The call, the record, the context, and only then the libraries."""
    correlation_id.set("asgi-correlation-id")
    with audit_context(**context):
        assert stored(given=given, **attributes)["request_id"] == expected


def test_the_order_of_the_libraries() -> None:
    """The first that has an id is believed: asgi-correlation-id, django-guid, starlette-context, structlog."""
    bind_contextvars(request_id="structlog")
    assert stored()["request_id"] == "structlog"
    with starlette_context.request_cycle_context({"X-Correlation-ID": "starlette-context"}):
        assert stored()["request_id"] == "starlette-context"
        django_guid.set_guid("django-guid")
        assert stored()["request_id"] == "django-guid"
        correlation_id.set("asgi-correlation-id")
        assert stored()["request_id"] == "asgi-correlation-id"
        django_guid.clear_guid()


@pytest.mark.parametrize("source", [lambda: None, correlation_id, [lambda: None]])
def test_libraries_are_not_asked_unless_wanted(source: Any) -> None:
    """Who names sources without "auto" gets no others."""
    bind_contextvars(request_id="structlog")
    assert "request_id" not in stored(AuditFormatter(request_id_from=source))


@pytest.mark.parametrize("sources", [["auto", lambda: "mine"], [lambda: "mine", "auto"]])
def test_what_is_listed_with_auto_is_asked_before_the_libraries(sources: Any) -> None:
    """The application's own source is nearer to it than a library that it happens to import."""
    bind_contextvars(request_id="structlog")
    assert stored(AuditFormatter(request_id_from=sources))["request_id"] == "mine"


def test_auto_in_a_list_asks_the_libraries() -> None:
    """In a list they come last as well."""
    bind_contextvars(request_id="structlog")
    assert stored(AuditFormatter(request_id_from=[lambda: None, "auto"]))["request_id"] == "structlog"


def broken_modules(name: str) -> list[Any]:
    """Return what can stand in sys.modules for a library that is of no use."""
    other_version = ModuleType(name)
    vars(other_version).update(correlation_id="text", get_guid=lambda request: "x", context={}, get_contextvars=list)
    vars(other_version).update(get_current_span=lambda: None)
    raising = ModuleType(name)
    vars(raising)["__getattr__"] = lambda attribute: 1 / 0
    return [None, ModuleType(name), other_version, raising]


@pytest.mark.parametrize("kind", range(4), ids=["blocked", "half imported", "another version", "raising"])
@pytest.mark.parametrize("name", ["asgi_correlation_id.context", "django_guid", "starlette_context"])
def test_a_library_that_cannot_be_asked_costs_nothing(
    name: str, kind: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is passed over without a word, and the others are asked."""
    monkeypatch.setitem(sys.modules, name, broken_modules(name)[kind])
    bind_contextvars(request_id="structlog")
    assert stored()["request_id"] == "structlog"
    assert warnings(caplog) == []


@pytest.mark.parametrize("kind", range(4), ids=["blocked", "half imported", "another version", "raising"])
@pytest.mark.parametrize("name", ["structlog.contextvars", "opentelemetry.trace"])
def test_the_last_library_may_fail_too(
    name: str, kind: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The event is stored whole, without that id."""
    monkeypatch.setitem(sys.modules, name, broken_modules(name)[kind])
    assert stored().keys() == {"action", "occurred_at", "outcome", "message"}
    assert warnings(caplog) == []


@pytest.mark.parametrize(
    "name", ["asgi_correlation_id:correlation_id", "asgi_correlation_id.context:correlation_id.get"]
)
def test_a_library_may_be_named(name: str) -> None:
    """Who wants the id of one library alone names its variable or its function."""
    correlation_id.set("asgi-correlation-id")
    bind_contextvars(request_id="structlog")
    assert stored(AuditFormatter(request_id_from=name))["request_id"] == "asgi-correlation-id"


def test_a_library_that_was_named_and_fails_is_reported(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Who asked for it is told why the id is missing, once a minute; the event is stored."""
    monkeypatch.setattr(
        starlette_context, "current_id", lambda: starlette_context.context["X-Request-ID"], raising=False
    )
    formatter = AuditFormatter(request_id_from="starlette_context:current_id")
    assert [stored(formatter).get("request_id") for _ in range(3)] == [None] * 3
    assert warnings(caplog) == ["request_id_from failed with ContextDoesNotExistError"]


# The trace


@pytest.fixture(params=[ALWAYS_ON, ALWAYS_OFF], ids=["sampled", "not sampled"])
def span(request: Any) -> Iterator[trace.Span]:
    """Return the span that the test runs in."""
    provider = TracerProvider(sampler=request.param, shutdown_on_exit=False)
    with provider.get_tracer("test").start_as_current_span("test") as span:
        yield span


def trace_of(span: trace.Span) -> str:
    """Return the id of the span's trace, as OpenTelemetry itself writes it."""
    return trace.format_trace_id(span.get_span_context().trace_id)


def test_the_trace_of_the_span(span: trace.Span) -> None:
    """The event has the trace's id, 32 digits, also of one that is not recorded: another service may record it."""
    assert stored()["trace_id"] == trace_of(span)
    assert len(trace_of(span)) == 32


def test_the_trace_of_a_failure(span: trace.Span) -> None:
    """An event that takes the careful way has it as well."""
    assert stored(levelno=logging.ERROR)["trace_id"] == trace_of(span)


def test_the_trace_of_another_service() -> None:
    """A trace that came in with the request is known before a span of our own began; zeros at its front stay."""
    remote = trace.SpanContext(trace_id=0x2A, span_id=1, is_remote=True)
    with trace.use_span(trace.NonRecordingSpan(remote)):
        assert stored()["trace_id"] == "0000000000000000000000000000002a"


def test_an_invalid_span_is_no_trace() -> None:
    """Where tracing is off, spans without an id go around."""
    with trace.use_span(trace.INVALID_SPAN):
        assert "trace_id" not in stored()


@pytest.mark.parametrize(
    ("given", "context", "expected"),
    [
        ({"trace_id": "call"}, {"trace_id": "context"}, "call"),
        ({}, {"trace_id": "context"}, "context"),
        ({"trace_id": ""}, {"trace_id": "context"}, "context"),
        ({"trace_id": None}, {"trace_id": "-"}, None),
    ],
)
def test_a_trace_that_is_given_wins(given: Any, context: Any, expected: str | None, span: trace.Span) -> None:
    """The call, the context, and only then the span."""
    with audit_context(**context):
        assert stored(given=given)["trace_id"] == (expected or trace_of(span))
