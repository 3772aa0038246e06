"""Questions to the audit table: who did what, newest first, a page at a time."""

import base64
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias, overload

import psycopg
from psycopg import sql
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.rows import tuple_row
from psycopg.types.datetime import DateLoader, TimestampLoader, TimestamptzLoader
from psycopg_pool import ConnectionPool

from .conninfo import check_conninfo, find_conninfo
from .errors import ConfigurationError, SchemaError
from .event import EVENT_FIELDS, AuditEvent, Id
from .sql import check_table, template

MAX_LIMIT = 1000
"""The longest page, in events."""

_FILTERS = {
    "event_id": ("event_id", "timeline_equal"),
    "user_id": ("user_id", "timeline_equal"),
}
"""What narrows a question: an argument of :meth:`AuditLog.timeline`, the field it looks at, its condition's SQL."""

_REQUIRED = ("occurred_at", "id", "action")

_Reader: TypeAlias = psycopg.Cursor[tuple[Any, ...]]
_Connect: TypeAlias = Callable[[], AbstractContextManager[psycopg.Connection[Any]]]


@dataclass(frozen=True, slots=True)
class TimelinePage(Sequence[AuditEvent]):
    """Some events, newest first, and where the next page begins."""

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
    ``infinity``, is the server's text.

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
        if conninfo and pool is not None:
            raise ConfigurationError("conninfo and pool are both given: name the database in one of them")
        self._connect = _opener(conninfo) if pool is None else _borrower(pool)
        self._table = check_table(table)
        self._columns = _check_columns(columns or {})

    def timeline(
        self,
        *,
        event_id: Id | None = None,
        user_id: Id | None = None,
        limit: int = 50,
        cursor: str | None = None,
        include_lifecycle: bool = False,
    ) -> TimelinePage:
        """
        Return the newest events, or those that follow *cursor*, in one read-only transaction.

        :param event_id: only what was done under this hosted event.
        :param user_id: only what this user did.
        :param limit: the length of a page, from 1 to 1000.
        :param cursor: :attr:`TimelinePage.next_cursor` of the page before. What is written meanwhile shifts nothing.
        :param include_lifecycle: also the ``audit.*`` rows that the trail writes about itself.
        :raises ConfigurationError: a value that can never match, such as ``"me"`` for a uuid column.
        :raises SchemaError: there is no such table, or it lacks a column that the question needs.
        :raises psycopg.Error: no connection, no privilege.
        """
        _check_limit(limit)
        given = {"event_id": event_id, "user_id": user_id}
        # Text, so that the server reads it as what the column is: uuid, bigint or text.
        values = {name: str(value) for name, value in given.items() if value is not None}
        position: dict[str, Any] = _decode_cursor(cursor) if cursor is not None else {}
        with self._read() as reader:
            table = self._find_table(reader)
            conditions = [table.condition(*_FILTERS[name], name) for name in values]
            if position:
                conditions.append(table.condition("occurred_at", "timeline_older"))
            if not include_lifecycle:
                conditions.append(table.condition("action", "timeline_not_lifecycle"))
            _execute(reader, table.select(conditions), values, position | {"limit": limit + 1})
            return _page(tuple(table.events(reader)), limit)

    @contextmanager
    def _read(self) -> Iterator[_Reader]:
        with self._connect() as connection, connection.transaction():
            # Not connection.cursor(): a pool's connections may have other placeholders and rows than ours.
            reader = psycopg.Cursor(connection, row_factory=tuple_row)
            for name, loader in _LOADERS.items():
                reader.adapters.register_loader(name, loader)
            yield reader.execute(template("read_only"), prepare=False)

    def _find_table(self, reader: _Reader) -> "_Table":
        schema, _, name = self._table.rpartition(".")
        reader.execute(template("find_table"), {"schema": schema or None, "name": name}, prepare=False)
        found = reader.fetchone()
        if found is None:
            info = reader.connection.info
            raise SchemaError(
                f"no table {self._table} in database {info.dbname} that role {info.user} finds: run pglog-audit init, "
                "or name the table as schema.name"
            )
        reader.execute(template("timeline_columns"), {"schema": found[0], "name": name}, prepare=False)
        return _Table(self._table, sql.Identifier(found[0], name), self._map_columns([row[0] for row in reader]))

    def _map_columns(self, columns: Sequence[str]) -> dict[str, str]:
        theirs = set(self._columns.values())
        if missing := theirs.difference(columns):
            raise SchemaError(f"table {self._table} has no column {min(missing)}: correct the option columns")
        return {name: name for name in columns if name not in theirs} | self._columns


@dataclass(frozen=True, slots=True)
class _Table:
    """A table as it is: its columns, by the name that their values have in an event."""

    name: str
    identifier: sql.Identifier
    columns: Mapping[str, str]

    def select(self, conditions: Sequence[sql.Composable]) -> sql.Composed:
        return self._format(
            "timeline",
            table=self.identifier,
            columns=sql.SQL(", ").join(map(_identifier, self.columns.values())),
            conditions=sql.Composed(conditions),
        )

    def condition(self, field: str, statement: str, value: str = "") -> sql.Composed:
        return self._format(statement, column=self._column(field), value=sql.Placeholder(value))

    def events(self, rows: Iterable[tuple[Any, ...]]) -> Iterator[AuditEvent]:
        for row in rows:
            values = dict(zip(self.columns, row, strict=True))
            if values.get("metadata", ()) is None:
                values["metadata"] = {}
            if values.get("source_ip") is not None:
                values["source_ip"] = str(values["source_ip"])
            yield AuditEvent.from_row(values)

    def _format(self, statement: str, **parts: sql.Composable) -> sql.Composed:
        return template(statement).format(**parts, **{field: self._column(field) for field in _REQUIRED})

    def _column(self, field: str) -> sql.Identifier:
        if field not in self.columns:
            raise SchemaError(
                f"table {self.name} has no column {field}: if it has another name there, "
                f'say so with columns={{"{field}": "other_name"}}'
            )
        return _identifier(self.columns[field])


def _identifier(column: str) -> sql.Identifier:
    # psycopg takes a lone percent sign for a parameter, in an identifier too.
    return sql.Identifier("event", column.replace("%", "%%"))


def _opener(conninfo: str) -> _Connect:
    found = check_conninfo(conninfo) if conninfo else find_conninfo()
    if found is None:
        raise ConfigurationError(
            "no database named: pass conninfo or pool, or set PGLOG_AUDIT_CONNINFO, DATABASE_URL (postgresql://…), or "
            "libpq's PGHOST, PGSERVICE or PGDATABASE"
        )
    return lambda: psycopg.connect(found)


def _borrower(pool: ConnectionPool[Any]) -> _Connect:
    if not isinstance(pool, ConnectionPool):
        raise ConfigurationError(f"pool is of type {type(pool).__name__}: pass a psycopg_pool.ConnectionPool")
    return pool.connection


def _check_columns(columns: Mapping[str, str]) -> dict[str, str]:
    if unknown := set(columns).difference(EVENT_FIELDS):
        raise ConfigurationError(f"columns names {min(unknown)}, which is no field: write our field first, then yours")
    return dict(columns)


def _check_limit(limit: int) -> None:
    if not 1 <= limit <= MAX_LIMIT:
        raise ConfigurationError(f"limit is {limit}: ask for 1 to {MAX_LIMIT} events, and for more by the cursor")


def _execute(reader: _Reader, statement: sql.Composed, values: Mapping[str, str], page: Mapping[str, Any]) -> None:
    try:
        # Through PgBouncer the next transaction may meet a server where what was prepared does not exist.
        reader.execute(statement, {**values, **page}, prepare=False)
    except (psycopg.DataError, UnicodeEncodeError) as error:
        given = [*values, "cursor"] if "cursor_id" in page else [*values]
        if not given:
            raise
        reason = str(error).partition("\n")[0]
        raise ConfigurationError(f"{' or '.join(given)} is nothing that its column can hold: {reason}") from error


def _page(events: tuple[AuditEvent, ...], limit: int) -> TimelinePage:
    page = events[:limit]
    return TimelinePage(page, _encode_cursor(page[-1]) if len(events) > limit else None)


def _encode_cursor(last: AuditEvent) -> str:
    if last.occurred_at is None or last.id is None:
        raise SchemaError("a row without occurred_at or id has no place in the order: make both columns NOT NULL")
    payload = json.dumps([str(last.occurred_at), str(last.id)]).encode()
    return base64.urlsafe_b64encode(payload + _checksum(payload)).decode().rstrip("=")


def _decode_cursor(cursor: str) -> dict[str, str]:
    try:
        decoded = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        payload, checksum = decoded[:-4], decoded[-4:]
        cursor_time, cursor_id = json.loads(payload if checksum == _checksum(payload) else "[]")
    except ValueError:
        raise ConfigurationError(
            f"cursor {cursor!r} is damaged: pass next_cursor of the page before unchanged, or none for the first page"
        ) from None
    return {"cursor_time": cursor_time, "cursor_id": cursor_id}


def _checksum(payload: bytes) -> bytes:
    return zlib.crc32(payload).to_bytes(4, "big")


def _lenient(loader: type[Loader]) -> type[Loader]:
    def load(self: Loader, data: Buffer) -> Any:
        # One row with infinity in a column must not hide all the others.
        try:
            return loader.load(self, data)
        except psycopg.DataError:
            return bytes(data).decode()

    return type(f"Lenient{loader.__name__}", (loader,), {"load": load})


_LOADERS = {
    "date": _lenient(DateLoader),
    "timestamp": _lenient(TimestampLoader),
    "timestamptz": _lenient(TimestamptzLoader),
}
