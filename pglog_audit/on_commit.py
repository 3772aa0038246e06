"""Events of what is true only once a transaction commits."""

import logging
import sys
from collections.abc import Callable, Mapping
from contextvars import copy_context
from functools import partial
from typing import Any

from . import call_sites, diagnostics, log_calls
from .call_sites import Place
from .errors import TransactionError
from .formatter import AuditFormatter
from .libraries import find
from .log_calls import Logger, check_logger
from .logger_tree import way_up


def audit_on_commit(
    connection: Any, logger: Logger, message: object, *args: object, extra: Mapping[str, Any], level: int = logging.INFO
) -> None:
    """
    Log as ``logger.info(message, *args, extra=audit(...))`` does, once the transaction of *connection* commits.

    :param connection: a Session or AsyncSession of SQLAlchemy, or a connection of Django.
    :param logger: a logger, an adapter of one, or a name; its level counts now.
    :param extra: what :func:`pglog_audit.audit` returns.
    :raises TransactionError: *connection* tells nobody of its commits.
    :raises TypeError: *logger* is no logger.

    Fields, message, context and time are those of this call. A transaction or savepoint that is rolled back takes its
    events with it. Outside of a transaction Django logs at once; a Session begins one.
    """
    check_logger(logger, "audit_on_commit")
    add = _hook_of(connection)
    event = extra.get("audit")
    prepared = log_calls.record(logger, level, message, event, Place.of(sys._getframe(1)), *args)
    if prepared is not None:
        proper, record = prepared
        taken = _snapshots(proper, record)
        if taken:
            record.audit_snapshot = taken
            call_sites.hear(event)  # though the transaction may be rolled back
        add(partial(copy_context().run, _log, proper, record))


def _snapshots(logger: logging.Logger, record: logging.LogRecord) -> dict[AuditFormatter, str]:
    """Return what each handler would take down of *record* now."""
    taken: dict[AuditFormatter, str] = {}
    for _, handler in way_up(logger):
        getattr(handler, "listener", None)  # only then it knows its formatter
        for part in (handler.formatter, *(getattr(each, "formatter", None) for each in handler.filters)):
            if isinstance(part, AuditFormatter):
                taken[part] = part.format(record)
    return taken


def _log(logger: logging.Logger, record: logging.LogRecord) -> None:
    try:
        logger.handle(record)
    except Exception as error:  # noqa: BLE001 - the transaction has committed: it must not seem to have failed
        diagnostics.warn("on commit", "An event could not be logged after its commit: %s", type(error).__name__)


def _hook_of(connection: Any) -> Callable[[Callable[[], None]], None]:
    """Return what takes a call for the time after the commit of *connection*."""
    scoped = find("sqlalchemy.orm", "scoped_session") + find("sqlalchemy.ext.asyncio", "async_scoped_session")
    if isinstance(connection, scoped):
        connection = connection()
    connection = getattr(connection, "sync_session", connection)  # SQLAlchemy's for asyncio
    if isinstance(connection, find("sqlalchemy.orm", "Session")):
        return (connection.info.get(_PENDING) or _Pending(connection)).add
    if hasattr(connection, "on_commit") and hasattr(connection, "settings_dict"):
        add: Callable[[Callable[[], None]], None] = connection.on_commit
        return add
    raise TransactionError(
        "audit_on_commit takes a Session or AsyncSession of SQLAlchemy or a connection of Django: a "
        f"{type(connection).__module__}.{type(connection).__qualname__} tells nobody of its commit; log after the "
        "block of the transaction"
    )


_PENDING = "pglog_audit"


class _Pending:
    """The calls that wait for a Session's commit, by its transactions and savepoints."""

    def __init__(self, session: Any) -> None:
        session.info[_PENDING] = self
        self._session = session
        self._calls: dict[Any, list[Callable[[], None]]] = {}
        [event] = find("sqlalchemy", "event")
        event.listen(session, "after_commit", self._after_commit)
        event.listen(session, "after_transaction_end", self._after_end)

    def add(self, call: Callable[[], None]) -> None:
        session = self._session
        current = session.get_nested_transaction() or session.get_transaction() or session.begin()
        self._calls.setdefault(current, []).append(call)

    def _after_commit(self, session: Any) -> None:
        # A savepoint is released before what is around it commits.
        current = session.get_nested_transaction() or session.get_transaction()
        calls = self._calls.pop(current, [])
        if current.nested:
            around = current.parent
            while not around.nested and around.parent:  # a flush has a transaction that is neither
                around = around.parent
            self._calls.setdefault(around, []).extend(calls)
            return
        for call in calls:
            call()

    def _after_end(self, _: Any, transaction: Any) -> None:
        self._calls.pop(transaction, None)
