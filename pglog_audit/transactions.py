"""Events as a part of the transaction that they tell of."""

import logging
import os
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from psycopg import sql
from uuid_utils import reseed_rng, uuid7

from . import call_sites, captures, catalog, lines, misfits, their_connections
from .audit_filter import AuditFilter
from .call_sites import Place
from .context import current_field
from .errors import AuditError, ConfigurationError
from .formatter import AuditFormatter
from .log_calls import Logger, check_extra, check_logger, make_record
from .logging_routes import Route, find_loggers, is_off, options_of, routes
from .options import WriterOptions
from .sql import check_table, template
from .their_connections import Memory

_pid = os.getpid()


def insert_event(
    connection: Any,
    extra: Mapping[str, Any],
    message: str | None = None,
    *,
    logger: Logger | None = None,
    table: str | None = None,
) -> Any:
    """
    Make a row of the event *extra* in the open transaction of *connection*: both commit, or neither does.

    :param connection: of psycopg, a Session or Connection of SQLAlchemy, or a connection of Django.
    :param extra: what :func:`pglog_audit.audit` returns, and what else its record is to have.
    :param message: the sentence of the row.
    :param logger: whose audit handler says how events are completed and masked, and which table and columns they have;
        needed only where handlers of several tables are configured. Without any, the handler's defaults hold.
    :param table: ``name`` or ``schema.name``, in place of the handler's.
    :return: None; with a connection for asyncio, what is to be awaited.
    :raises TransactionError: no transaction is open, or *connection* is of no kind that can be used.
    :raises SchemaError: the table is missing, or closed to the role of *connection*.
    :raises ConfigurationError: it is not clear which handler is meant, or *table* is no name.
    :raises TypeError: *extra* has no event, or *logger* is none.

    The server's own errors go on as the library of *connection* raises them. No level and no filter turns the event
    away, though filters may add to its record. The row has no ``writer_id`` and no ``writer_seq``. Where the handler is
    switched off, nothing is written.
    """
    check_extra(extra, "insert_event")
    if logger is not None:
        check_logger(logger, "insert_event")
    origin = _origin(logger)
    snapshot = _snapshot(origin, extra, message, Place.of(sys._getframe(1)))
    described = (check_table(table) if table else origin.options.table, origin.options.columns)
    if captures.sinks or origin.is_off:
        if their_connections.is_asynchronous(connection):
            return _write_nothing_async(connection, snapshot)
        return _write_nothing(connection, snapshot)
    return their_connections.run(connection, lambda memory: _insertion(memory, snapshot, *described))


def _write_nothing(connection: Any, snapshot: str) -> None:
    their_connections.check(connection)
    captures.give(snapshot)


async def _write_nothing_async(connection: Any, snapshot: str) -> None:
    _write_nothing(connection, snapshot)


class _Origin(NamedTuple):
    """What a configured handler says of its events."""

    logger: logging.Logger
    handler: logging.Handler
    formatter: AuditFormatter
    options: WriterOptions
    is_off: bool


def _origin(logger: Logger | None) -> _Origin:
    if logger is None:
        found = [route for each in find_loggers() for route in routes(each)]
    else:
        while isinstance(logger, logging.LoggerAdapter):
            logger = logger.logger
        found = routes(logging.getLogger(logger) if isinstance(logger, str) else logger)
        if not found:
            raise ConfigurationError(f"logger {getattr(logger, 'name', logger)!r} leads to no audit handler")
    origins = [_origin_of(route) for route in found]
    if len({(each.options.table, each.options.columns) for each in origins}) > 1:
        raise ConfigurationError("there are audit handlers of several tables: say insert_event(..., logger=...)")
    return origins[0] if origins else _default()


def _default() -> _Origin:
    handler = logging.NullHandler()
    return _Origin(logging.getLogger("audit"), handler, AuditFormatter(), WriterOptions(), is_off=False)


def _origin_of(route: Route) -> _Origin:
    ends = [(options_of(end) or WriterOptions(), is_off(end)) for end in route.ends]
    options, is_switched_off = ends[0] if ends else (WriterOptions(), False)
    own = next((each.formatter for each in route.handler.filters if isinstance(each, AuditFilter)), None)
    formatter = own or next((end.formatter for end in route.ends), None)
    if not isinstance(formatter, AuditFormatter):
        formatter = AuditFormatter()
    return _Origin(route.owner, route.handler, formatter, options, is_switched_off)


def _snapshot(origin: _Origin, extra: Mapping[str, Any], message: str | None, place: Place) -> str:
    call_sites.hear(extra["audit"])
    if message is None:
        extra = {**extra, "audit": {"message": current_field("message"), **extra["audit"]}}
    record = make_record(origin.logger, logging.INFO, message or "", extra, place)
    for filtering in (origin.logger, origin.handler):
        passed: Any = filtering.filter(record)
        if isinstance(passed, logging.LogRecord):  # 3.12: a filter may replace the record
            record = passed
    return origin.formatter.format(record)


class _Described(NamedTuple):
    """A table as the names in a statement meant it, and the statements, by the columns that they leave out."""

    table: catalog.Table
    session: Mapping[str, str]
    inserts: dict[frozenset[str], sql.Composed]

    def insert(self, event: Mapping[str, Any]) -> sql.Composed:
        """Return the statement for *event*."""
        left_out = self.table.left_out(event)
        if left_out not in self.inserts:
            self.inserts[left_out] = self.table.insert("insert_in_transaction", left_out=left_out)
        return self.inserts[left_out]


def _insertion(memory: Memory, snapshot: str, name: str, columns: tuple[tuple[str, str], ...]) -> catalog.Steps[None]:
    for _ in range(2):
        if (name, columns) not in memory:
            memory[name, columns] = yield from _description(name, dict(columns))
        described: _Described = memory[name, columns]
        event = {"id": _new_id(), **lines.parse(snapshot)}
        if refused := misfits.move_misfits(event, described.table):
            misfits.warn_of_moved([(lines.render(event), refused)], described.table)
        line = lines.render(event)
        if described.table.encoding != "UTF8":
            line = misfits.escape(line, described.table.encoding)
        [[made]] = yield described.insert(event), {"lines": f"[{line}]", **described.session}
        if made:
            return
        # Another role or search path than at the description: the name may mean another table.
        del memory[name, columns]
    raise AuditError(f"table {name} took no row: a trigger of its own keeps it out")


def _description(name: str, columns: Mapping[str, str]) -> catalog.Steps[_Described]:
    [[role, path, database]] = yield template("show_session"), {}
    table = yield from catalog.description(name, columns, role=role, database=database)
    return _Described(table, {"role": role, "path": path}, {})


def _new_id() -> str:
    global _pid
    if _pid != os.getpid():
        # A child that was forked in C, past all hooks, draws the ids of its siblings.
        reseed_rng()
        _pid = os.getpid()
    return str(uuid7())
