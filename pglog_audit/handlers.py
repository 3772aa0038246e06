"""The one handler that users configure: it puts the parts together."""

import logging
import os
import threading
import weakref
from collections.abc import Callable
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Unpack

from . import account, call_sites, diagnostics, postgres_handler, processes
from .errors import ConfigurationError
from .options import HandlerOptions, WriterOptions
from .postgres_handler import PostgresHandler
from .queue_listener import CLOSE_TIMEOUT, AuditQueueListener
from .unlocked_handler import UnlockedHandler

if TYPE_CHECKING:
    from .formatter import AuditFormatter


_ON = ("1", "true", "yes", "on")
_UNUSED_CONNINFO = "postgresql://"
"""Of a handler that writes nothing: it neither looks for a database nor warns that there is none."""


class AuditHandler(UnlockedHandler):
    """
    Turn log records that carry an ``audit`` extra into rows, on a background thread.

    :param conninfo: libpq connection string or URL, or a callable that returns one; by default
        ``PGLOG_AUDIT_CONNINFO``, then ``DATABASE_URL``, then libpq's own variables. Without any of them nothing is
        written, and one warning says so.
    :param level: see :class:`logging.Handler`.
    :param enabled: False, like ``PGLOG_AUDIT_DISABLED=1``, writes nothing.
    :param pool: a :class:`psycopg_pool.ConnectionPool` of yours in place of *conninfo*, or ``"module:attribute"``.
    :param table: ``name`` or ``schema.name``; by default ``audit_log``.
    :param columns: our field to your column, ``{"occurred_at": "created_at"}``.
    :param capacity: lines that the queue holds (100,000), and *max_bytes* their bytes (32 MiB).
    :param batch_size: lines a statement (1,000), and *flush_interval* the seconds that the first of them waits (0.25).
    :param block_timeout: seconds that a call may wait for room while the database answers (0.1); None is no limit.
        Never inside an event loop.
    :param connect_timeout: seconds (5), as *write_timeout* (10) for a batch and *shutdown_timeout* (5) at exit.
    :param spool: directory for what the database does not take now, and what it takes in no form; *spool_max_bytes* of
        all processes that write to one table (1 GiB).
    :param journal: True writes each event there before the call returns, so that no end of the process loses it.
    :param fsync: ``"never"``; ``"rotate"``, once a segment of 8 MiB; ``"always"``, before the call returns.
    :param lifecycle: False writes no rows about the writer's start and end.
    :param request_id_from: and *mask*, *unmask*, *mask_with*, *service*, *store_message*: see :class:`AuditFormatter`.
    :raises ConfigurationError: an option has no meaning or a value that can never work.

    Handlers with the same options share one writer, also with one that dictConfig closed before it made this one.
    """

    def __init__(
        self,
        conninfo: str | Callable[[], str] | None = None,
        *,
        level: int | str = logging.NOTSET,
        enabled: bool = True,
        **options: Unpack[HandlerOptions],
    ) -> None:
        if not isinstance(enabled, bool):
            raise ConfigurationError(f"enabled is {enabled!r}: it must be True or False")
        self.is_enabled = enabled and os.environ.get("PGLOG_AUDIT_DISABLED", "").lower() not in _ON
        """Whether it was not told to write nothing."""
        # Without effect on anybody until the first record: no thread, no connection.
        given = conninfo if self.is_enabled or "pool" in options else _UNUSED_CONNINFO
        self._postgres_handler = PostgresHandler(given, **options)
        self.options = self._postgres_handler.options
        self._writer: AuditQueueListener | None = None
        self._is_holding = False
        self._direct_writer: AuditQueueListener | None = None
        """The writer while it is held, for handle() alone: not where a subclass has an emit() of its own."""
        self._heard_names: set[str] = set()
        """The loggers that events came from."""
        # At last: logging would close a handler that was refused half-made.
        super().__init__(level)
        self.formatter: AuditFormatter
        self.setFormatter(self._postgres_handler.formatter)

    def setFormatter(self, fmt: logging.Formatter | None) -> None:  # noqa: N802 - logging's name
        """
        Set the formatter.

        :raises ConfigurationError: *fmt* is no :class:`AuditFormatter`.
        """
        super().setFormatter(fmt)
        self._take_snapshot = self.formatter.recordable if self.options.journal else self.formatter.snapshot

    def handle(self, record: logging.LogRecord) -> bool:
        """Emit *record* if it is an audit record and the filters let it pass."""
        # The usual case, without a call in between that could only say so.
        writer = self._direct_writer
        if (
            writer is None
            or "audit" not in record.__dict__
            or call_sites.unheard
            or self.filters
            or record.name not in self._heard_names
        ):
            is_taken = super().handle(record)
            if is_taken:
                self._heard_names.add(record.name)
            return is_taken
        try:
            snapshot, lines = self._take_snapshot(record), writer.lines
            if not lines.put_at_once(snapshot):
                writer.submit(snapshot)
            elif not lines.is_attended or diagnostics.waiting or processes.is_ending:
                writer.see_to_it()
        except Exception:  # noqa: BLE001 - as in emit()
            self.handleError(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Queue the snapshot of *record*."""
        if not self.has_database():
            return
        try:
            writer = self._writer if self._is_holding and self._writer else self._take_writer()
            writer.submit(self._take_snapshot(record))
        except Exception:  # noqa: BLE001 - logging's own rule: a log call never raises
            self.handleError(record)

    def has_database(self) -> bool:
        """Tell whether there is a database to write to; asked before the writer is taken."""
        return self.is_enabled and self.options.configured

    def _take_writer(self) -> AuditQueueListener:
        """Hold the process's writer for this target, at the first record and after somebody closed this handler."""
        self._writer = writer = self._writer or _writer_for(self._postgres_handler)
        writer.hold(self)
        self._is_holding = True
        if type(self).emit is AuditHandler.emit:
            self._direct_writer = writer
        return writer

    def flush(self, timeout: float | None = None) -> int:  # type: ignore[override] # logging ignores the result
        """
        Wait until what was logged is written, at most *timeout* seconds (by default 0.5).

        :return: how many events are still neither row, nor on disk, nor counted as lost.
        """
        return self._writer.flush(timeout) if self._writer else 0

    def stats(self) -> dict[str, Any]:
        """Return the counters of this handler's writer: see :func:`stats`."""
        return (self._writer or self._postgres_handler).stats()

    def close(self) -> None:
        """
        Let go of the writer, which goes on until its queue is empty.

        Every call of dictConfig closes the handlers that it finds, while loggers may still use them: a record that
        comes later takes the writer up again.
        """
        if self._writer is not None:
            self._is_holding, self._direct_writer = False, None
            self._writer.let_go(self)
            self._writer.flush(CLOSE_TIMEOUT)
        super().close()


def flush(timeout: float | None = None) -> int:
    """
    Wait until what this process logged is written, at most *timeout* seconds (by default 0.5).

    :return: how many events are still neither row, nor on disk, nor counted as lost.
    :raises ConfigurationError: *timeout* is no number.
    """
    return processes.flush(processes.writers(), processes.flush_timeout(timeout))


def stats() -> dict[str, Any]:
    """
    Return what became of the events of this process, also of those whose writer is gone.

    Now: ``queued``, events in memory; ``oldest_unsent``, seconds that the oldest event has waited there or on disk, or
    None; ``problem``, why events wait, or None; ``spool_bytes`` on disk, or None without a spool.

    So far: ``stored``, rows; ``duplicates``, lines that were rows already; ``spooled``, lines put to disk because the
    database did not take them; ``rejected``, lines that it took in no form; ``lost``, counts by reason;
    ``unjournaled``, lines that the journal did not take; ``restarts`` of a writer; ``last_stored`` and
    ``last_error_at``, seconds since the epoch, or None; ``last_error``, its text, or None.
    """
    parts = [writer.stats() for writer in processes.writers()]
    parts += [writer.stats() for writer in postgres_handler.alone()]
    return {
        "queued": sum(part["queued"] for part in parts),
        "oldest_unsent": _largest(parts, "oldest_unsent"),
        "problem": next((part["problem"] for part in parts if part["problem"]), None),
        "spool_bytes": _largest(parts, "spool_bytes"),
        **account.of_process().stats(),
    }


def _largest(parts: list[dict[str, Any]], name: str) -> Any:
    return max((part[name] for part in parts if part[name] is not None), default=None)


_writers: "list[weakref.ref[AuditQueueListener]]" = []
"""Of all handlers, the oldest first."""
_registry_lock = threading.RLock()


def _writer_for(handler: PostgresHandler) -> AuditQueueListener:
    """Return the running writer with the options of *handler*, or a new one that writes through *handler*."""
    with _registry_lock:
        writer = _find_writer(handler.options)
        if writer is None:
            new = AuditQueueListener(SimpleQueue(), handler)
            _writers.append(weakref.ref(new, _writers.remove))
            # A signal handler or a finalizer that audits may have come in anywhere here: the first in the list it is.
            writer = _find_writer(handler.options) or new
        return writer


def _find_writer(options: WriterOptions) -> AuditQueueListener | None:
    writers = (reference() for reference in list(_writers))
    return next((writer for writer in writers if writer is not None and writer.options == options), None)


def _renew_registry_lock() -> None:
    """In a forked child: a thread of the parent may have held the lock."""
    global _registry_lock
    _registry_lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_registry_lock)
