"""Events as JSON: one array, or one object a line."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from ..audit_event import EVENT_FIELDS, AuditEvent
from ..event import ID_FIELDS

_IDS = ("id", *sorted(ID_FIELDS), "writer_id")


def json_array(events: Iterable[AuditEvent]) -> Iterator[str]:
    """Yield the parts of one JSON array, an event at a time."""
    return array_of(map(json_object, events))


def json_lines(events: Iterable[AuditEvent]) -> Iterator[str]:
    """Yield one line of JSON for each event."""
    return lines_of(map(json_object, events))


def array_of(objects: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the parts of one JSON array, an object at a time."""
    separator = "[\n"
    for each in objects:
        yield separator + _indented(to_json_text(each, indent=2))
        separator = ",\n"
    yield "[]\n" if separator == "[\n" else "\n]\n"


def lines_of(objects: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield one line of JSON for each object."""
    for each in objects:
        yield to_json_text(each) + "\n"


def json_object(event: AuditEvent) -> dict[str, Any]:
    """Return every field of *event* as what JSON knows: ids and times are text, the user's columns are in ``extra``."""
    values = {name: json_value(getattr(event, name)) for name in (*EVENT_FIELDS, "extra")}
    return values | {name: str(values[name]) for name in _IDS if values[name] is not None}


def to_json_text(value: Any, indent: int | None = None) -> str:
    """
    Return *value* as JSON in printable ASCII.

    ASCII, so that a terminal that shows it is as safe as a program that reads it.
    """
    # DEL is ASCII, and JSON lets it stand.
    return json.dumps(value, indent=indent, allow_nan=False).replace("\x7f", "\\u007f")


def json_value(value: Any) -> Any:
    """Return *value*, of a row, as what JSON knows."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case bytes():
            return value.hex()
        case Mapping():
            return {str(name): json_value(item) for name, item in value.items()}
        case list() | tuple():
            return [json_value(item) for item in value]
        case datetime():
            return value.isoformat()
        case _:
            return str(value)


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
