"""Where the id of the running request comes from."""

import logging
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any, TypeAlias

from . import libraries
from .context import current_field
from .errors import ConfigurationError
from .references import resolve

RequestIdSource: TypeAlias = str | Callable[[], Any] | ContextVar[Any]
Source: TypeAlias = Callable[[logging.LogRecord], Any]

_NO_ID = frozenset({"", "-", "none", "null"})
LONGEST_NO_ID = 4


def is_id(value: Any) -> bool:
    """Tell whether *value* is an id and not one of the words that log formats print for none."""
    if value is None:
        return False
    try:
        text = str(value)
        return len(text) > LONGEST_NO_ID or text.lower() not in _NO_ID
    except Exception:  # noqa: BLE001 - a proxy of the application's, bound to no request
        return False


def sources(given: RequestIdSource | Sequence[RequestIdSource]) -> list[Source]:
    """
    Return *request_id_from* as callables of the record, in the order in which they are asked.

    The context comes after what is listed, and the application's libraries, where ``"auto"`` is listed, come last.

    :raises ConfigurationError: *given* is none of what the option may be.
    """
    wanted = list(given) if isinstance(given, list | tuple) else [given]
    listed = [source for one in wanted for source in _source(one)]
    return [*listed, _from_context, *([_from_libraries] if "auto" in wanted else [])]


def _source(given: Any) -> list[Source]:
    if given == "auto":
        return [lambda record: record.__dict__.get("request_id"), lambda record: record.__dict__.get("correlation_id")]
    if isinstance(given, str):
        given = resolve("request_id_from", given)
    if isinstance(given, ContextVar):
        return [lambda _: given.get(None)]
    if callable(given):
        return [lambda _: given()]
    raise ConfigurationError(
        "request_id_from must be 'auto', a callable, a ContextVar, 'module:attribute' or a list of these, "
        f"not {given!r}"
    )


def _from_context(_: logging.LogRecord) -> Any:
    return current_field("request_id")


def _from_libraries(_: logging.LogRecord) -> Any:
    for found in libraries.request_ids():
        if is_id(found):
            return found
    return None
