"""
What the libraries of an application know about the running request.

A library is asked if the application imported it; nothing is imported from here. One that is half imported, of another
version, or outside of its request says nothing: an error in it is none of the log call's.
"""

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

TRACER = "opentelemetry.trace"


def request_ids() -> Iterable[Any]:
    """Return what each library has for a request id, also nothing and the words that it prints for none."""
    if sys.modules.keys().isdisjoint(_REQUEST_IDS):
        return ()
    return (found for module, read in _REQUEST_IDS.items() for found in _ask(module, read))


def trace_id() -> str | None:
    """Return the trace of OpenTelemetry's current span as 32 hexadecimal digits, None outside of a valid span."""
    if TRACER not in sys.modules:
        return None
    return next(iter(_ask(TRACER, _opentelemetry)), None)


def find(name: str, *attributes: str) -> tuple[Any, ...]:
    """Return *attributes* of the module *name*, as far as the application imported it and it has them."""
    module = sys.modules.get(name)
    return tuple(getattr(module, attribute) for attribute in attributes if hasattr(module, attribute))


def _ask(name: str, read: Callable[[Any], Sequence[Any]]) -> Sequence[Any]:
    try:
        return read(sys.modules[name])
    except Exception:  # noqa: BLE001 - see the top; its import may run in another thread at this moment
        return ()


def _asgi_correlation_id(module: Any) -> Sequence[Any]:
    return (module.correlation_id.get(),)


def _django_guid(module: Any) -> Sequence[Any]:
    return (module.get_guid(),)


def _starlette_context(module: Any) -> Sequence[Any]:
    context = module.context
    return (context.get("X-Request-ID"), context.get("X-Correlation-ID")) if context.exists() else ()


def _structlog(module: Any) -> Sequence[Any]:
    bound = module.get_contextvars()
    return (bound.get("request_id"), bound.get("correlation_id"))


def _opentelemetry(module: Any) -> Sequence[str]:
    span = module.get_current_span().get_span_context()
    return (f"{span.trace_id:032x}",) if span.is_valid else ()


_REQUEST_IDS: dict[str, Callable[[Any], Sequence[Any]]] = {
    "asgi_correlation_id.context": _asgi_correlation_id,
    "django_guid": _django_guid,
    "starlette_context": _starlette_context,
    "structlog.contextvars": _structlog,
}
