"""Values that their column refuses: they move to the metadata, and the row is made all the same."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from . import diagnostics
from .catalog import Column, Table
from .column_types import keep_refused
from .lines import describe

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
