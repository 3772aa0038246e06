"""Events of what is true only once a transaction commits."""

import logging
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import date, time
from enum import Enum
from functools import partial
from typing import Any
from uuid import UUID

from . import call_sites, captures, diagnostics, log_calls
from .call_sites import Place
from .careful_lines import MAX_LINE
from .cleaning import Cleaner
from .context import copy_without_fields
from .errors import TransactionError
from .formatter import AuditFormatter, message_of
from .libraries import find
from .log_calls import Logger, check_extra, check_logger
from .logger_tree import way_up
from .masking import Masker

_SCALARS = (type(None), str, bytes, int, float, UUID, date, time, Enum)
_cleaner = Cleaner(Masker())


def audit_on_commit(
    connection: Any, logger: Logger, message: object, *args: object, extra: Mapping[str, Any], level: int = logging.INFO
) -> None:
    """
    Log as ``logger.info(message, *args, extra=audit(...))`` does, once the transaction of *connection* commits.

    :param connection: a Session or AsyncSession of SQLAlchemy, or a connection of Django.
    :param logger: a logger, an adapter of one, or a name; its level counts now.
    :param extra: what :func:`pglog_audit.audit` returns, and what else the record is to have.
    :raises TransactionError: *connection* tells nobody of its commits, or is a Session inside the transaction of a
        Connection.
    :raises TypeError: *logger* is no logger, or not in its place; or *extra* has no event.

    Fields, message, context and time are those of this call; filters see the record after the commit. A transaction or
    savepoint that is rolled back takes its events with it. Outside of a transaction Django logs at once; a Session
    begins one.
    """
    check_logger(logger, "audit_on_commit", message)
    check_extra(extra, "audit_on_commit")
    add = _hook_of(connection)
    prepared = log_calls.record(logger, level, message, extra, Place.of(sys._getframe(1)), *args)
    if prepared is not None:
        proper, record = prepared
        _complete(record, [handler for _, handler in way_up(proper)])
        add(partial(copy_without_fields().run, _log, proper, record))


def _complete(record: logging.LogRecord, handlers: list[logging.Handler]) -> None:
    """Let *record*, on its way to *handlers*, have all that its call says, whatever becomes of that later."""
    event: Mapping[str, Any] = record.audit  # type: ignore[attr-defined] # it was made with one
    if any(map(call_sites.takes_events, handlers)):
        call_sites.hear(event)  # though the transaction may be rolled back
    try:
        record.audit = event = _formatter(handlers).with_context(event, record)
        record.audit = _kept({**event})
        record.msg = _kept(record.msg) if isinstance(record.msg, dict) else message_of(record)
        record.args = ()
    except Exception as error:  # noqa: BLE001 - an object of the caller's, or one that holds itself
        diagnostics.warn("kept", "An event that waits for its commit could not be copied: %s", type(error).__name__)


def _formatter(handlers: list[logging.Handler]) -> AuditFormatter:
    for handler in handlers:
        getattr(handler, "listener", None)  # only then it knows its formatter
        for part in (handler.formatter, *(getattr(each, "formatter", None) for each in handler.filters)):
            if isinstance(part, AuditFormatter):
                return part
    return AuditFormatter()


def _kept(value: Any) -> Any:
    """Return *value* so that no later change of its containers or objects is one of it."""
    if type(value) is dict:
        return {name: _kept(item) for name, item in value.items()}
    if type(value) in (list, tuple, set, frozenset):
        return [_kept(item) for item in value]
    if type(value) in (bytearray, memoryview):
        return bytes(value)
    return value if isinstance(value, _SCALARS) else _cleaner.cleaning(MAX_LINE).field("", value)


def _log(logger: logging.Logger, record: logging.LogRecord) -> None:
    try:
        record.thread = threading.get_ident()  # a handler would take it for one that comes through a queue
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
        return _pending(connection).add
    if hasattr(connection, "on_commit") and hasattr(connection, "settings_dict"):
        add: Callable[[Callable[[], None]], None] = connection.on_commit
        return add
    raise TransactionError(
        "audit_on_commit takes a Session or AsyncSession of SQLAlchemy or a connection of Django: a "
        f"{type(connection).__module__}.{type(connection).__qualname__} tells nobody of its commit; log after the "
        "block of the transaction"
    )


_PENDING = "pglog_audit"


def _pending(session: Any) -> "_Pending":
    if not captures.sinks and _is_inside_of_another(session):
        raise TransactionError(
            "this Session works inside the transaction of its Connection, which tells nobody of its commit; log after "
            "the block of that transaction"
        )
    pending = session.info.get(_PENDING)
    # A Session that is made with the info of another one has that one's.
    return pending if pending and pending.session is session else _Pending(session)


def _is_inside_of_another(session: Any) -> bool:
    """Tell whether *session* is bound to a connection with a transaction that is not its own to commit."""
    connection = session.bind
    if not isinstance(connection, find("sqlalchemy.engine", "Connection")) or not connection.in_transaction():
        return False
    if session.join_transaction_mode == "control_fully":
        return False
    # Whose transaction it is, no method tells.
    joined = getattr(session.get_transaction(), "_connections", {}).get(connection)
    return joined is None or not joined[2] or joined[1] is not connection.get_transaction()


class _Pending:
    """The calls that wait for a Session's commit, by its transactions and savepoints."""

    def __init__(self, session: Any) -> None:
        session.info[_PENDING] = self
        self.session = session
        self._calls: dict[Any, list[Callable[[], None]]] = {}
        [event] = find("sqlalchemy", "event")
        event.listen(session, "after_commit", self._after_commit)
        event.listen(session, "after_transaction_end", self._after_end)

    def add(self, call: Callable[[], None]) -> None:
        session = self.session
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
