"""The handler of the pair: from the thread that logs into the queue."""

import logging
from logging.handlers import QueueHandler
from typing import Any

from . import processes
from .errors import ConfigurationError
from .formatter import AuditFormatter
from .lines import Guest
from .queue_listener import CLOSE_TIMEOUT, AuditQueueListener
from .unlocked_handler import UnlockedHandler


class AuditQueueHandler(UnlockedHandler, QueueHandler):
    """
    Hand audit records to an :class:`AuditQueueListener`: the caller never waits for the database.

    :param queue: the listener's queue; ``queue.SimpleQueue()``, which a signal handler that logs cannot deadlock.
    """

    def __init__(self, queue: Any, **options: Any) -> None:
        if options:
            raise ConfigurationError(
                f"AuditQueueHandler does not take {', '.join(sorted(options))}: options belong to its PostgresHandler, "
                "and dictConfig wires listener and handlers from Python 3.12 on; AuditHandler serves every version"
            )
        self._listener: AuditQueueListener | None = None
        self._has_let_go = False
        super().__init__(queue)

    @property
    def listener(self) -> AuditQueueListener | None:
        """The listener; dictConfig sets it from Python 3.12 on, and a pair built by hand is found by its queue."""
        if self._listener is None:
            found = (one for one in processes.writers() if getattr(one, "common_queue", None) is self.queue)
            self.listener = next(found, None)
        return self._listener

    @listener.setter
    def listener(self, listener: Any) -> None:
        if listener is None:
            return
        if not isinstance(listener, AuditQueueListener):
            raise ConfigurationError(
                f"AuditQueueHandler needs 'listener': 'pglog_audit.AuditQueueListener', not a {type(listener).__name__}"
            )
        self._listener = listener
        listener.hold(self)
        self.setFormatter(listener.writer.formatter)

    def prepare(self, record: logging.LogRecord) -> str:
        """Return the snapshot of *record*, which is what is queued."""
        if self.formatter is None and self.listener is None:
            self.setFormatter(AuditFormatter())
        return self.format(record)  # finished: other listeners may take it from the queue

    def enqueue(self, record: Any) -> None:
        """Queue a snapshot."""
        listener = self.listener
        if listener is None:
            self.queue.put_nowait(Guest(record))
        elif listener.options.configured:
            if self._has_let_go:
                self._has_let_go = False
                listener.hold(self)
            listener.submit(record)

    def flush(self, timeout: float | None = None) -> int:  # type: ignore[override] # logging ignores the result
        """Wait for the writer: see :meth:`AuditQueueListener.flush`."""
        return self._listener.flush(timeout) if self._listener else 0

    def close(self) -> None:
        """Let go of the writer, which writes what is queued; a record that comes later takes it up again."""
        if self._listener is not None:
            self._has_let_go = True
            self._listener.let_go(self)
            self._listener.flush(CLOSE_TIMEOUT)
        super().close()
