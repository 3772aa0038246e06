"""Values that have names: in an object, and in pairs of a list, as headers are written."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

_MOST = 100_000
"""Values behind a name that are looked at: more than an event has room for."""


def named_items(value: Any) -> Iterable[tuple[Any, Any]] | None:
    """Return names and values of what is an object in JSON, or None."""
    if type(value) is dict:
        return list(value.items())  # at once: another thread may be changing it
    if isinstance(value, Mapping):
        return ((key, value[key]) for key in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return zip(value._fields, value, strict=False)
    return None


def names_in_pair(item: Any) -> Sequence[Any]:
    """Return what may name the values of *item*, one of a list: ``["token", …]``, ``{"name": "token", "value": …}``."""
    named = _mapping(item)
    if named is None:
        return [*islice(item, 1)] if isinstance(item, list | tuple) and len(item) > 1 else ()
    return (named.get("name"), named.get("key")) if "value" in named else ()


def with_values(pair: Any, change: Callable[[Any], Any]) -> Any:
    """Return *pair*, which has a name, with what *change* makes of its values."""
    named = _mapping(pair)
    if named is None:
        name, *values = islice(pair, _MOST)
        return [name, *map(change, values)]
    return {**named, "value": change(named["value"])}


def _mapping(item: Any) -> Mapping[Any, Any] | None:
    """Return *item* as a mapping if it is an object in JSON; one that is a mapping may be too large to be copied."""
    if isinstance(item, Mapping):
        return item
    named = named_items(item)
    return None if named is None else dict(named)
