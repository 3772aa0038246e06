"""What a table or its database refuses: it moves to the metadata or is escaped, and the row is made all the same."""

import codecs
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from psycopg.errors import UntranslatableCharacter

from . import diagnostics
from .careful_lines import CLEANED
from .catalog import Column, Table
from .column_types import keep_refused
from .lines import describe, parse, render

Stays: TypeAlias = Callable[[str, Column, Any], bool]
"""Tells of a field, its column and its value whether it stays there."""

_ROW = frozenset({"id", "writer_id", "writer_seq", "occurred_at", "metadata"})
"""Fields without which it would be another row."""


def repaired(chunk: Sequence[str], table: Table, error: Exception) -> list[str] | None:
    """Return *chunk*, which the server refused with *error*, changed; None if there is nothing to change."""
    is_alone = len(chunk) == 1
    if is_alone and isinstance(error, UntranslatableCharacter):
        # Python and the server may be of two minds about an encoding, but not about ASCII.
        for encoding in (table.encoding, "ascii"):
            if (escaped := escape(chunk[0], encoding)) != chunk[0]:
                return [escaped]
    events = [parse(line) for line in chunk]
    for stays in suspicions(is_alone=is_alone):
        moved = [move_misfits(event, table, stays) for event in events]
        if any(moved):
            warn_of_moved([(line, refused) for line, refused in zip(chunk, moved, strict=True) if refused], table)
            changed = zip(events, moved, chunk, strict=True)
            return [render(event) if refused else line for event, refused, line in changed]
    return None


def _fits(_field: str, column: Column, value: Any) -> bool:
    return column.takes(value)


def move_misfits(event: dict[str, Any], table: Table, stays: Stays = _fits) -> dict[str, Any]:
    """Move what its column cannot hold, or what else *stays* not, to the metadata of *event*; return that by name."""
    refused: dict[str, Any] = {}
    for place, columns in ((event, _movable(table)), (event.get("extra") or {}, table.user_columns)):
        for name, column in columns.items():
            value = place.get(name)
            # An action that cannot be "unknown" either has nowhere to go.
            if value is not None and (name, value) != ("action", "unknown") and not stays(name, column, value):
                refused[name] = place.pop(name)
    if "action" in refused:
        event["action"] = "unknown"
    if refused:
        keep_refused(event, refused)
    return refused


def _movable(table: Table) -> Mapping[str, Column]:
    return {field: column for field, column in table.fields.items() if field not in _ROW}


def suspicions(*, is_alone: bool) -> Iterator[Stays]:
    """
    Yield what to ask of each value of lines that the server refuses, one after the other, until it takes them.

    :param is_alone: whether it is one line, of which more may move than what is known to be wrong.
    """
    yield _fits
    if is_alone:
        yield lambda field, column, _: column.is_understood or _must_stay(field, column)
        yield lambda field, column, _: column.is_free_text or _must_stay(field, column)


def _must_stay(field: str, column: Column) -> bool:
    """Tell whether without the value there were no row, or none that says what was done."""
    return column.is_free_text if field == "action" else column.is_required


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


def escape(line: str, encoding: str) -> str:
    """Return *line* with Python's escapes for what PostgreSQL's *encoding* lacks, and a mark; else as it is."""
    codec = _codec(encoding)
    escaped = re.sub(r"[^\x00-\x7f]", lambda found: _escaped(found[0], codec), line)
    if escaped == line:
        return line
    event = parse(escaped)
    metadata = event.get("metadata") or {}
    marks = metadata.get(CLEANED) or []
    marks = marks if isinstance(marks, list) else [marks]
    event["metadata"] = {**metadata, CLEANED: [*marks, "text: what the database's encoding lacks as escapes"]}
    text = "The database's encoding lacks characters: escapes stand in their place (%s)"
    diagnostics.warn("escaped", text, describe(line))
    return render(event)


def _codec(encoding: str) -> str:
    try:
        return codecs.lookup(re.sub("^WIN", "cp", encoding)).name
    except LookupError:
        return "ascii"


def _escaped(character: str, codec: str) -> str:
    try:
        character.encode(codec)
    except UnicodeEncodeError:
        return rf"\{ascii(character)[1:-1]}"
    return character
