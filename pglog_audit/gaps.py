"""The gaps of the audit trail: which numbers of its writers are no rows, and whether the writers say why."""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any, Literal, TypeAlias, cast
from uuid import UUID

from psycopg import sql

from . import table_names
from .errors import ConfigurationError, SchemaError
from .gap_claims import MAX_TEXT, Claims, read_claim
from .reading import Reader
from .relation import Relation, find_relation
from .sql import template, with_parameters

GapKind: TypeAlias = Literal["unexplained", "explained", "tail", "repeated", "malformed"]

_Read: TypeAlias = Callable[[], AbstractContextManager[Reader]]

_MAX_PID = 10  # digits
_NEEDED = ("writer_id", "writer_seq", "action")
_USEFUL = ("id", "occurred_at", "metadata", "service")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """
    Something that the numbers of a writer do not tell. *kind* says what:

    - ``unexplained``: events are missing, and no row says why. They were deleted, or lost by a process that was killed,
      or still wait in a spool.
    - ``explained``: events are missing, and their writer said why in a row ``audit.gap``; or retention dropped them.
    - ``tail``: the last row of the writer is no ``audit.stop``. It is running, or was killed; then what came after is
      not known.
    - ``repeated``: several rows have one number.
    - ``malformed``: a row ``audit.gap`` that no writer of ours wrote: it explains nothing.

    A time beyond Python's calendar, such as ``infinity``, is the server's text.
    """

    kind: GapKind
    writer_id: UUID
    first_seq: int | None = None
    """The first number; of a tail the first that may be missing."""
    last_seq: int | None = None
    """The last number; None for a tail, which has no known end."""
    count: int | None = None
    """How many events are missing, or how many rows have the number."""
    reason: str | None = None
    """What the writer says, or which partition retention dropped."""
    gap_id: str | None = None
    """The id of the row ``audit.gap``, for :meth:`AuditLog.event`; None for what retention dropped."""
    told_at: datetime | None = None
    """When the writer said so."""
    after: datetime | None = None
    """When the last event before it happened; None at a writer's begin."""
    before: datetime | None = None
    """When the first event after it happened; None at a writer's end."""
    host: str | None = None
    """The writer's machine, as its row ``audit.start`` says; so *pid*."""
    pid: int | None = None
    service: str | None = None


class Gaps(Iterator[Gap]):
    """
    The gaps of a table, in the order of their numbers for each writer, the writer that began last first.

    They are read while you iterate, over a connection that is given back after the last one or by :meth:`close`.
    """

    def __init__(
        self,
        read: _Read,
        table: str,
        columns: Mapping[str, str],
        *,
        since: datetime | None = None,
        writer_id: UUID | str | None = None,
    ) -> None:
        self.writers = 0
        """How many writers have been looked at so far."""
        asked = {"since": _check_since(since), "writer_id": _check_writer(writer_id)}
        # It must not know of self: a result that is forgotten shall close at once, not when a cycle is found.
        self._answers = _walk(read, table, columns, asked)

    def __iter__(self) -> Iterator[Gap]:
        return self

    def __next__(self) -> Gap:
        for gap in self._answers:
            if gap is not None:
                return gap
            self.writers += 1
        raise StopIteration

    def close(self) -> None:
        """Read no further, and give the connection back."""
        self._answers.close()


def _walk(read: _Read, table: str, columns: Mapping[str, str], asked: Mapping[str, Any]) -> Generator[Gap | None]:
    """Return for each writer None, and its gaps."""
    with read() as reader:
        relation = find_relation(reader, table, columns)
        statement = _statement(relation, _find_retained(reader, relation, table), asked)
        reader.execute(template("gaps_all_rows"), prepare=False)
        stream = reader.stream(statement, {**asked, "max_text": MAX_TEXT})
        # Closed first: a transaction cannot end in the middle of an answer.
        with closing(cast("Generator[tuple[Any, ...]]", stream)) as rows:
            for writer_id, parts in groupby(rows, key=itemgetter(0)):
                yield None
                yield from _gaps_of(writer_id, parts)


def _find_retained(reader: Reader, relation: Relation, table: str) -> sql.Composable:
    """Return the part of the statement for what retention dropped, which a table of schema 1 cannot know."""
    names = {"table": relation.identifier.as_string(), "name": table_names.retained_name(table.rpartition(".")[2])}
    found = reader.execute(template("find_retained"), names, prepare=False).fetchone()
    return template("gaps_retained").format(retained=sql.Identifier(*found)) if found else sql.SQL("")


def _statement(relation: Relation, retained: sql.Composable, asked: Mapping[str, Any]) -> sql.Composed:
    columns = _columns(relation)
    conditions = {"of_writer": "writer_id", "recent": "since"}
    return template("gaps").format(
        table=relation.identifier,
        retained=retained,
        **columns,
        **{
            name: template(f"gaps_{name}").format(**columns) if asked[parameter] else sql.SQL("")
            for name, parameter in conditions.items()
        },
    )


def _check_since(since: datetime | None) -> datetime | None:
    if since is not None and not (isinstance(since, datetime) and since.utcoffset() is not None):
        raise ConfigurationError(f"since is {since!r}: pass a datetime with a time zone")
    return since


def _check_writer(writer_id: UUID | str | None) -> str | None:
    try:
        return None if writer_id is None else str(UUID(str(writer_id)))
    except ValueError:
        raise ConfigurationError(f"writer_id is {writer_id!r}: pass a UUID, as the rows have it") from None


def _columns(relation: Relation) -> dict[str, sql.Composable]:
    for field in _NEEDED:
        if field not in relation.columns:
            raise SchemaError(
                f"table {relation.name} has no column {field}, so nobody can know which events are missing there: "
                "only the writers of a table with writer_id and writer_seq number their rows"
            )
    there = {
        field: with_parameters(sql.Identifier("event", column))
        for field, column in relation.columns.items()
        if field in (*_NEEDED, *_USEFUL)
    }
    return {**dict.fromkeys(_USEFUL, sql.NULL), **there}


def _gaps_of(writer_id: UUID, parts: Iterator[tuple[Any, ...]]) -> Iterator[Gap]:
    """Return the gaps of one writer from its rows of gaps.sql."""
    *_, facts = next(parts)
    writer = _Writer(writer_id, **facts)
    for _, part, _, facts in parts:
        yield from writer.read_claim(**facts) if part == 1 else writer.read_number(**facts)
    if not writer.is_stopped:
        yield writer.gap("tail", first_seq=writer.last_seq + 1, after=_time(writer.last_at))


class _Writer:
    """A writer, as its rows tell of it."""

    def __init__(
        self,
        writer_id: UUID,
        *,
        last_seq: int,
        last_at: str | None,
        is_stopped: bool,
        host: str | None,
        pid: str | None,
        service: str | None,
    ) -> None:
        self.last_seq = last_seq
        self.last_at = last_at
        self.is_stopped = is_stopped
        self._origin: dict[str, Any] = {"host": host, "pid": _pid(pid), "service": service}
        self._writer_id = writer_id
        self._claims = Claims()

    def gap(self, kind: GapKind, **values: Any) -> Gap:
        """Return a gap of this writer."""
        return Gap(kind=kind, writer_id=self._writer_id, **self._origin, **values)

    def read_claim(self, row_id: str | None, told_at: str | None, metadata: str | None) -> Iterator[Gap]:
        """Take a gap row, and return it if it cannot be read."""
        if claim := read_claim(metadata, row_id, told_at):
            self._claims.add(claim)
        else:
            yield self.gap("malformed", gap_id=row_id, told_at=_time(told_at))

    def read_number(
        self, seq: int, copies: int, previous: int | None, after: str | None, before: str | None
    ) -> Iterator[Gap]:
        """Return what is missing between the number *previous* and *seq*, and whether this one is there twice."""
        times = {"after": _time(after), "before": _time(before)}
        for first, last, claim in self._claims.split((previous or 0) + 1, seq - 1):
            numbers = {"first_seq": first, "last_seq": last, "count": last - first + 1}
            if claim is None:
                yield self.gap("unexplained", **numbers, **times)
            else:
                told = {"reason": claim.reason, "gap_id": claim.row_id, "told_at": _time(claim.told_at)}
                yield self.gap("explained", **numbers, **told, **times)
        if copies > 1:
            yield self.gap("repeated", first_seq=seq, last_seq=seq, count=copies, before=times["before"])


def _pid(text: str | None) -> int | None:
    return int(text) if text and len(text) <= _MAX_PID and text.isdecimal() else None


def _time(text: str | None) -> Any:
    try:
        return None if text is None else datetime.fromisoformat(text)
    except ValueError:  # beyond Python's calendar
        return text
