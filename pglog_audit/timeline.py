"""Questions to the audit table: who did what, newest first, a page at a time."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias, overload
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg_pool import ConnectionPool

from . import page_cursor
from .audit_event import EVENT_FIELDS, AuditEvent
from .connections import in_utf8
from .conninfo import check_conninfo, is_blank, require_conninfo
from .errors import ConfigurationError, SchemaError
from .event import Id
from .gaps import Gaps
from .options import check_columns
from .page_cursor import Position
from .question import MAX_LIMIT as MAX_LIMIT
from .question import Question
from .reading import Reader, reading
from .relation import Relation, find_relation
from .sql import check_table

_Connect: TypeAlias = Callable[[], AbstractContextManager[psycopg.Connection[Any]]]

_OURS = ("since", "until", "limit", "lower", "upper", "cursor_id", "action_end")
_GIVEN = {"cursor_time": "cursor"}


@dataclass(frozen=True, slots=True)
class TimelinePage(Sequence[AuditEvent]):
    """Some events in the order asked for, and where the next page begins."""

    events: tuple[AuditEvent, ...]
    next_cursor: str | None = None
    """What :meth:`AuditLog.timeline` takes as *cursor* for the next page (URL-safe text); None on the last page."""

    @overload
    def __getitem__(self, index: int) -> AuditEvent: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[AuditEvent, ...]: ...
    def __getitem__(self, index: int | slice) -> AuditEvent | tuple[AuditEvent, ...]:
        return self.events[index]

    def __len__(self) -> int:
        return len(self.events)


class AuditLog:
    """
    The audit table, as a reader sees it.

    It needs SELECT on the table and nothing else, and works through PgBouncer. What the table has no column for is None
    in the events; columns of your own are in :attr:`AuditEvent.extra`. A time beyond Python's calendar, such as
    ``infinity``, and JSON of more than 200 levels are the server's text; a number in JSON that is beyond int or float
    is a :class:`decimal.Decimal`.

    :param conninfo: the database; by default what the environment names (:func:`pglog_audit.conninfo.find_conninfo`).
        Every question opens a connection and closes it.
    :param pool: your own open pool, to borrow connections from instead.
    :param table: ``name`` or ``schema.name``.
    :param columns: our field → your column, where the names differ: ``{"occurred_at": "created_at"}``.
    :raises ConfigurationError: an option can never work.
    """

    def __init__(
        self,
        conninfo: str = "",
        *,
        pool: ConnectionPool[Any] | None = None,
        table: str = "audit_log",
        columns: Mapping[str, str] | None = None,
    ) -> None:
        if not isinstance(conninfo, str | None):
            raise ConfigurationError(f"conninfo is of type {type(conninfo).__name__}: it must be a string")
        if pool is not None and not is_blank(conninfo):
            raise ConfigurationError("conninfo and pool are both given: name the database in one of them")
        self._connect = _opener(conninfo) if pool is None else _borrower(pool)
        self._table = check_table(table)
        self._columns = check_columns({} if columns is None else columns, frozenset(EVENT_FIELDS))

    def timeline(
        self,
        *,
        event_id: Id | None = None,
        user_id: Id | None = None,
        entity_type: str | None = None,
        target_id: Id | None = None,
        request_id: str | None = None,
        tenant_id: Id | None = None,
        outcome: str | Sequence[str] | None = None,
        action: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 50,
        cursor: str | None = None,
        reverse: bool = False,
        include_lifecycle: bool = False,
    ) -> TimelinePage:
        """
        Return the newest events that meet all of this, or those that follow *cursor*, in one read-only transaction.

        :param event_id: only what was done under this hosted event.
        :param user_id: only what this user did.
        :param entity_type: only what was done to things of this kind.
        :param target_id: only what was done to this thing.
        :param request_id: only what this request caused.
        :param tenant_id: only what belongs to this tenant.
        :param outcome: ``success``, ``failure``, ``denied`` or ``unknown``, or a list of some of these.
        :param action: this action, or with ``branding.*`` every action below ``branding``.
        :param since: from this time on, an aware datetime.
        :param until: before this time, an aware datetime.
        :param limit: the length of a page, from 1 to 1000.
        :param cursor: :attr:`TimelinePage.next_cursor` of the page before. What is written meanwhile shifts nothing.
        :param reverse: the oldest first; *cursor* goes on in the same order.
        :param include_lifecycle: also the ``audit.*`` rows that the trail writes about itself; an *action* of theirs
            shows them anyway.
        :raises ConfigurationError: a value that can never match, such as ``"me"`` for a uuid column.
        :raises SchemaError: there is no such table, or it lacks a column that the question needs.
        :raises psycopg.Error: no connection, no privilege.
        """
        given = {
            "event_id": event_id,
            "user_id": user_id,
            "entity_type": entity_type,
            "target_id": target_id,
            "request_id": request_id,
            "tenant_id": tenant_id,
        }
        question = Question(
            equal={name: str(value) for name, value in given.items() if value is not None},
            outcomes=(outcome,) if isinstance(outcome, str) else tuple(outcome or ()),
            action=action,
            since=since,
            until=until,
            limit=limit,
            position=None if cursor is None else page_cursor.decode(cursor, reverse=reverse),
            reverse=reverse,
            include_lifecycle=include_lifecycle,
        )
        with self._read() as reader:
            relation = find_relation(reader, self._table, self._columns)
            return _page(_ask(reader, relation, question), question)

    def event(self, id: Id) -> AuditEvent | None:  # noqa: A002 - the field's name
        """
        Return the event of *id*, also one of the trail about itself; None if there is none.

        :raises ConfigurationError: an id that can never match, such as ``"me"`` for a uuid column.
        :raises SchemaError: there is no such table, or it has no column for the id.
        :raises psycopg.Error: no connection, no privilege.
        """
        with self._read() as reader:
            relation = find_relation(reader, self._table, self._columns)
            _execute(reader, relation.select_one(), {"id": str(id)})
            return next(relation.events(reader), None)

    def gaps(self, *, since: datetime | None = None, writer_id: UUID | str | None = None) -> Gaps:
        """
        Return what the numbers of the writers do not tell: missing events, explained or not, and unknown ends.

        The whole table is read once, in one statement. Iterate over the result to its end or close it: until then it
        holds a connection.

        :param since: only writers with a row at this time or later, an aware datetime; of these all rows are looked at.
        :param writer_id: only this writer.
        :raises ConfigurationError: a value that can never match.
        :raises SchemaError: while iterating: there is no such table, or its rows carry no writer's numbers.
        :raises psycopg.Error: while iterating: no connection, no privilege, or row-level security that hides rows.
        """
        return Gaps(self._read, self._table, self._columns, since=since, writer_id=writer_id)

    @contextmanager
    def _read(self) -> Iterator[Reader]:
        with self._connect() as connection, reading(connection) as reader:
            yield reader


def _opener(conninfo: str) -> _Connect:
    found = require_conninfo("pass conninfo or pool") if is_blank(conninfo) else check_conninfo(conninfo)
    return lambda: psycopg.connect(in_utf8(found))


def _borrower(pool: ConnectionPool[Any]) -> _Connect:
    if not isinstance(pool, ConnectionPool):
        raise ConfigurationError(f"pool is of type {type(pool).__name__}: pass a psycopg_pool.ConnectionPool")
    return pool.connection


def _ask(reader: Reader, relation: Relation, question: Question) -> list[AuditEvent]:
    """Return the page, and one event more if there is one."""
    events: list[AuditEvent] = []
    for stretch in question.ranges(relation.edges):
        wanted = question.limit + 1 - len(events)
        if wanted:
            parameters = question.parameters() | {"limit": wanted, **stretch._asdict()}
            _execute(reader, relation.select(question, stretch), parameters)
            events += relation.events(reader)
    return events


def _execute(reader: Reader, statement: sql.Composed, parameters: Mapping[str, Any]) -> None:
    try:
        # Through PgBouncer the next transaction may meet a server where what was prepared does not exist.
        reader.execute(statement, parameters, prepare=False)
    except (psycopg.DataError, UnicodeEncodeError) as error:
        given = [_GIVEN.get(name, name) for name in parameters if name not in _OURS]
        if not given:
            raise
        reason = str(error).partition("\n")[0]
        raise ConfigurationError(f"{' or '.join(given)} is nothing that its column can hold: {reason}") from error


def _page(events: Sequence[AuditEvent], question: Question) -> TimelinePage:
    page = tuple(events[: question.limit])
    return TimelinePage(page, _cursor(page[-1], question) if len(events) > question.limit else None)


def _cursor(last: AuditEvent, question: Question) -> str:
    if last.occurred_at is None or last.id is None:
        raise SchemaError("a row without occurred_at or id has no place in the order: make both columns NOT NULL")
    return page_cursor.encode(Position(str(last.occurred_at), str(last.id), question.reverse))
