"""What a table or its database refuses: it moves to the metadata or is escaped, and the row is made all the same."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from . import diagnostics
from .careful_lines import CLEANED
from .catalog import Column, Table
from .column_types import keep_refused
from .lines import describe, parse, render

_ROW = frozenset({"id", "writer_id", "writer_seq", "occurred_at", "metadata"})
"""Fields without which it would be another row."""


def move_misfits(
    event: dict[str, Any], table: Table, stays: Callable[[Column, Any], bool] = Column.takes
) -> dict[str, Any]:
    """
    Move what its column cannot hold from its place in *event* to the metadata; return that by name.

    :param stays: tells of a column and a value whether it can.
    """
    refused: dict[str, Any] = {}
    for place, columns in ((event, _movable(table)), (event.get("extra") or {}, table.user_columns)):
        for name, column in columns.items():
            value = place.get(name)
            # An action that cannot be "unknown" either has nowhere to go.
            if value is not None and (name, value) != ("action", "unknown") and not stays(column, value):
                refused[name] = place.pop(name)
    if "action" in refused:
        event["action"] = "unknown"
    if refused:
        keep_refused(event, refused)
    return refused


def _movable(table: Table) -> Mapping[str, Column]:
    return {field: column for field, column in table.fields.items() if field not in _ROW}


def suspicions(*, is_alone: bool) -> Iterator[Callable[[Column, Any], bool]]:
    """
    Yield what to ask of each value of lines that the server refuses, one after the other, until it takes them.

    :param is_alone: whether it is one line, of which more may move than what is known to be wrong.
    """
    yield Column.takes
    if is_alone:
        yield lambda column, _: column.is_understood
        yield lambda column, _: column.is_free_text


def warn_of_moved(moved: Iterable[tuple[str, Mapping[str, Any]]], table: Table) -> None:
    """Tell of lines, with what :func:`move_misfits` moved in each."""
    [(line, refused), *others] = moved
    diagnostics.warn(
        "moved",
        "%d audit event(s) with a value that its column refuses; %s (first: %s of %s)",
        1 + len(others),
        "it is stored in their metadata" if "metadata" in table.fields else "it is not stored, for want of metadata",
        ", ".join(refused),
        describe(line),
    )


def escape(line: str) -> str:
    """Return *line*, of which the database's encoding lacks something, with Python's escapes for all but ASCII."""
    event = parse(re.sub(r"[^\x00-\x7f]", lambda found: rf"\{ascii(found[0])[1:-1]}", line))
    metadata = event.get("metadata") or {}
    marks = metadata.get(CLEANED) or []
    marks = marks if isinstance(marks, list) else [marks]
    event["metadata"] = {**metadata, CLEANED: [*marks, "text: what the database's encoding lacks as escapes"]}
    diagnostics.warn(
        "escaped", "The database's encoding lacks characters: escapes stand in their place (%s)", describe(line)
    )
    return render(event)
