"""Events as CSV (RFC 4180) that a spreadsheet can open without running what somebody logged."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from numbers import Number
from typing import Any

from ..audit_event import EVENT_FIELDS, AuditEvent
from ..errors import SchemaError
from ..event import JSON_FIELDS
from .event_json import json_value, to_json_text
from .terminal import printable

# What OWASP's page on CSV injection lists, and the full-width forms; also after a semicolon, where the spreadsheets of
# half the world begin the next cell. Tabs and line ends are escapes before this is asked.
_FORMULA = re.compile(r"""(^|;)(?=[\s"']*[=+\-@\uff1d\uff0b\uff0d\uff20])""")


def csv_rows(events: Iterable[AuditEvent], encoding: str = "utf-8") -> Iterator[str]:
    """
    Yield a header, then a row for each event: every field, then the user's columns.

    Text is made harmless: for a terminal by :func:`~pglog_audit.cli.terminal.printable`, for a spreadsheet by an
    apostrophe before what it would take for a formula. NULL is an empty field; metadata and changes are JSON.

    :raises SchemaError: a column was added to the table while it was read.
    """
    events = iter(events)
    first = next(events, None)
    columns = () if first is None else tuple(first.extra)
    yield _row(_text(name, encoding) for name in (*EVENT_FIELDS, *columns))
    for event in () if first is None else chain([first], events):
        yield _row(_field(*pair, encoding) for pair in _values(event, columns))


def csv_row(values: Iterable[Any], encoding: str = "utf-8") -> str:
    """Return the row of *values* that are no fields of an event, made as harmless."""
    return _row(_field("", value, encoding) for value in values)


def _values(event: AuditEvent, columns: Sequence[str]) -> Iterator[tuple[str, Any]]:
    if added := event.extra.keys() - set(columns):
        raise SchemaError(f"the table got the column {min(added)} while it was read: run the command again")
    yield from ((name, getattr(event, name)) for name in EVENT_FIELDS)
    yield from (("", event.extra.get(name)) for name in columns)


def _field(name: str, value: Any, encoding: str) -> str:
    if value is None:
        return ""
    if name in JSON_FIELDS or isinstance(value, bool | dict | list):
        return _text(to_json_text(json_value(value)).replace(";", "\\u003b"), encoding)
    # A number is none that somebody could have made a formula of: -1 stays -1.
    return str(value) if isinstance(value, Number) else _text(str(json_value(value)), encoding)


def _text(text: str, encoding: str) -> str:
    return _FORMULA.sub(r"\1'", printable(text, encoding))


def _row(fields: Iterable[str]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(fields)
    return line.getvalue()
