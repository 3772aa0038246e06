"""Where the id of the running request comes from."""

import logging
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any, TypeAlias

from .errors import ConfigurationError
from .references import resolve

RequestIdSource: TypeAlias = str | Callable[[], Any] | ContextVar[Any]
Source: TypeAlias = Callable[[logging.LogRecord], Any]

_NO_ID = frozenset({"", "-", "none", "null"})


def is_request_id(value: Any) -> bool:
    """Tell whether *value* is an id and not one of the words that log formats print for none."""
    try:
        return value is not None and str(value).lower() not in _NO_ID
    except Exception:  # noqa: BLE001 - a proxy of the application's, bound to no request
        return False


def sources(given: RequestIdSource | Sequence[RequestIdSource]) -> list[Source]:
    """
    Return *request_id_from* as callables of the record, in the order in which they are asked.

    :raises ConfigurationError: *given* is none of what the option may be.
    """
    wanted = list(given) if isinstance(given, list | tuple) else [given]
    return [source for one in wanted for source in _source(one)]


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
