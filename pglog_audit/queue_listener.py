"""
The listener of the pair: the thread that writes.

It is the writer of its process: queue, numbers, thread and connection are its own, and handlers only hold it.
Everything starts at the first record, in the process that logs it, because servers fork between configuration and the
first request.
"""

import logging
import os
import random
import sys
import threading
import time
import weakref
from logging.handlers import QueueListener
from queue import Empty
from typing import Any

from uuid_utils import uuid7

from . import diagnostics, lines, processes, writer_thread
from .account import Account
from .audit_records import is_audit_record
from .errors import ConfigurationError
from .line_queue import POLL_INTERVAL, LineQueue
from .postgres_handler import PostgresHandler, Written
from .verdict import Verdict

FLUSH_TIMEOUT = 0.5
"""Seconds that flush() waits unless told otherwise: logging calls it under the lock of all logging."""
CLOSE_TIMEOUT = 0.25
"""Seconds that close() waits: logging calls flush() before."""

_MAX_BATCH_BYTES = 4 * 1024 * 1024
_MIN_DELAY, _MAX_DELAY = 0.1, 30.0


class AuditQueueListener(QueueListener):
    """
    Collect lines into batches, by size or by age, and write them on a thread of its own.

    :param queue: the queue of its :class:`AuditQueueHandler`; ``queue.SimpleQueue()``.
    :param handlers: one :class:`PostgresHandler`, whose options it takes.
    :param respect_handler_level: has no meaning here: records are chosen before they are queued.
    :raises ConfigurationError: *handlers* is anything else.
    """

    def __init__(self, queue: Any, *handlers: logging.Handler, respect_handler_level: bool = False) -> None:
        if len(handlers) != 1 or not isinstance(handlers[0], PostgresHandler):
            raise ConfigurationError("an AuditQueueListener has exactly one pglog_audit.PostgresHandler in 'handlers'")
        super().__init__(queue, *handlers, respect_handler_level=respect_handler_level)
        self.writer = handlers[0]
        self.writer.is_in_use = True
        self.common_queue = queue
        """What a handler knows it by; a forked child has another queue of its own."""
        self.options = self.writer.options
        self.shutdown_timeout = self.options.shutdown_timeout
        self._holders: weakref.WeakSet[Any] = weakref.WeakSet()
        self._started_by_hand = False
        self._begin(LineQueue(queue, self.options.capacity, self.options.max_bytes))
        processes.add(self)

    def _begin(self, line_queue: LineQueue) -> None:
        """Set the state of a writer that has written nothing."""
        self.queue = line_queue.queue
        self._lines = line_queue
        self._pid = os.getpid()
        self._state_lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._running = False
        self._writer_id = str(uuid7())
        self._in_hand: list[str] = []
        self._batch_size = self.options.batch_size
        self._min_batch = 0
        """Lines of the next batch at least: one more than the table refused altogether."""
        self._were_sent = False
        """Whether lines in hand may be rows already."""
        self._delay = 0.0
        self._wanted_until = 0.0
        self._times_given_up = 0
        self._times_given_up_before = 0
        """The same, when the first of the lines in hand was taken."""
        self._account = Account()
        self.problem: str | None = None
        """Why lines wait now."""

    def begin_in_child(self) -> None:
        """Start anew in a forked child: the lines in the queue, the thread and the connection are the parent's."""
        self.writer.abandon()
        self._begin(self._lines.renewed())

    # The threads that log

    def submit(self, snapshot: str) -> None:
        """Number *snapshot* and queue it; without room it is counted as lost."""
        if self._pid != os.getpid():
            self.begin_in_child()
        if not self._running:
            self.start_writer()  # whoever waits for room waits for the writer
        if not self._lines.put(snapshot, self.options.block_timeout, self._is_writing):
            self._account.lose("queue full", snapshot)
        # After the put: a writer that ends has looked into the queue after it said so.
        if not self._running:
            self.start_writer()
        if processes.is_ending():
            processes.finish([self], 0.0 if self.problem else FLUSH_TIMEOUT)

    def _is_writing(self) -> bool:
        """Tell whether the database answers, and another thread writes."""
        return self._running and self.problem is None and self._thread is not threading.current_thread()

    def flush(self, timeout: float | None = None) -> int:
        """
        Wait until what was queued is written, at most *timeout* seconds (by default 0.5).

        :return: how many lines are still neither row nor counted as lost.
        """
        if self._pid != os.getpid() or self._thread is threading.current_thread():
            return 0
        deadline = time.monotonic() + (FLUSH_TIMEOUT if timeout is None else timeout)
        goal = self._lines.submitted
        if self._lines.is_pending(goal):
            self._wanted_until = max(self._wanted_until, deadline)
            self.start_writer()
            self._lines.nudge()
            if not self._running or sys.is_finalizing():
                # The interpreter ends, and no thread of ours runs any more.
                self._wanted_until = float("inf")
                self._step()
                return max(0, goal - self._lines.settled)
        while self._lines.is_pending(goal) and time.monotonic() < deadline:
            time.sleep(POLL_INTERVAL)
        return max(0, goal - self._lines.settled)

    def lost(self) -> int:
        """Return how many lines were lost so far."""
        return self._account.lost

    def give_up(self) -> int:
        """Count what is queued as lost, at the end of the process, and return how many lines that are."""
        count = self._lines.give_up()
        self._account.lose_many("exit", count)
        # A writer that waits for lines has none in hand to drop.
        self._times_given_up += bool(count)
        self.writer.release()
        return count

    def stats(self) -> dict[str, Any]:
        """Return the counters of this process: see :func:`pglog_audit.stats`."""
        return {
            "queued": max(0, self._lines.submitted - self._lines.settled),
            **self._account.stats(),
            "problem": self.problem,
        }

    # The life of the thread

    def hold(self, holder: object) -> None:
        """Keep the writer alive for *holder*."""
        self._holders.add(holder)

    def let_go(self, holder: object) -> None:
        """End the writer when its queue is empty, unless others hold it."""
        self._holders.discard(holder)
        self._nudge()

    def _nudge(self) -> None:
        # One that nobody takes would look like a line that waits.
        if self._running:
            self._lines.nudge()

    def start(self) -> None:
        """Start the writer, which then runs until :meth:`stop`; the first record starts it too."""
        self._started_by_hand = True
        self.start_writer()

    def start_writer(self) -> None:
        """Start the thread unless it runs."""
        with self._state_lock:
            # A thread started while the interpreter is taken down never runs; 3.11 waits for it for ever.
            if self._running or sys.is_finalizing():
                return
            self._running, self._thread = True, None
            processes.drain_at_exit()
            try:
                writer_thread.start(self._monitor, self.queue)
            except RuntimeError:
                self._running = False  # flush() writes

    def stop(self) -> None:
        """Write what is queued, for at most *shutdown_timeout*, and end the thread; a later record starts it again."""
        self._started_by_hand = False
        self._holders.clear()
        self.flush(self.shutdown_timeout)
        self._nudge()
        deadline = time.monotonic() + FLUSH_TIMEOUT
        while self._running and self._thread is not threading.current_thread() and time.monotonic() < deadline:
            time.sleep(POLL_INTERVAL)

    def _monitor(self) -> None:
        self._thread = threading.current_thread()
        try:
            while not (self._is_unwanted() and self._end()):
                self._step()
        finally:
            with self._state_lock:
                if self._thread is threading.current_thread():
                    self._running = False

    def _is_unwanted(self) -> bool:
        return not (self._holders or self._started_by_hand or self._in_hand) and self._lines.is_empty()

    def _end(self) -> bool:
        """Say that the thread ends, unless a line came meanwhile; and tell whether it does."""
        self.writer.release()
        self._running = False
        with self._state_lock:
            if self._running or self._lines.is_empty():
                return True
            self._running = True
        return False

    # The thread that writes

    def _step(self) -> None:
        try:
            self._drop_what_was_given_up()
            self._collect()
            if self._in_hand:
                self._deliver()
        except Exception as error:  # noqa: BLE001 - the thread must outlive whatever happens; the lines are in hand
            self._were_sent = True
            diagnostics.warn("writer", "The audit writer failed and tries again: %r", error)
            self._wait_after(repr(error))

    def _collect(self) -> None:
        """Add to the lines in hand until the batch is full, or its first line old enough."""
        room = _MAX_BATCH_BYTES - sum(map(lines.size, self._in_hand))
        deadline = time.monotonic() if self._in_hand else None
        while (len(self._in_hand) < self._batch_size and room > 0) or len(self._in_hand) < self._min_batch:
            try:
                item = self._lines.get(deadline)
            except Empty:
                return
            if item is None:
                if self._lines.is_empty():
                    return
                continue
            snapshot = self._lines.take(item, self._format)
            if snapshot is not None:
                self._in_hand.append(lines.headed(snapshot, self._writer_id))
                room -= lines.size(snapshot)
            deadline = deadline or time.monotonic() + self.options.flush_interval

    def _format(self, record: logging.LogRecord) -> str | None:
        return self.writer.format(record) if is_audit_record(record) else None

    def _deliver(self) -> None:
        size = max(self._batch_size, self._min_batch)
        batch, rest = self._in_hand[:size], self._in_hand[size:]
        written = self.writer.write(batch)
        if self._drop_what_was_given_up():
            return
        self._in_hand = written.left + rest
        self._lines.settled += self._account.add(written, were_sent=self._were_sent)
        # If the table takes none of them, a further line tells whether the fault is theirs.
        self._min_batch = len(batch) + 1 if written.verdict is Verdict.CONFIGURATION else 0
        if written.left:
            self._were_sent = True
            self._after_failure(written)
        else:
            self._were_sent = bool(rest) and self._were_sent
            if self.problem is not None:
                diagnostics.warn("written again", "Audit events are written again, after: %s", self.problem)
            self.problem, self._delay = None, 0.0
            self._batch_size = min(self._batch_size * 2, self.options.batch_size)

    def _drop_what_was_given_up(self) -> bool:
        """Drop the lines in hand if they were counted as lost meanwhile, and tell whether they were."""
        if self._times_given_up == self._times_given_up_before:
            return False
        self._in_hand, self._times_given_up_before = [], self._times_given_up
        return True

    def _after_failure(self, written: Written) -> None:
        if written.verdict is Verdict.SMALLER:
            self._batch_size = max(1, self._batch_size // 2)
        waiting = self._lines.submitted - self._lines.settled
        diagnostics.warn("waiting", "Audit events wait (%d so far): %s", waiting, written.problem)
        self._wait_after(written.problem or "")

    def _wait_after(self, problem: str) -> None:
        """Wait before the next attempt: longer each time, with jitter, shortly while somebody waits in flush()."""
        self.problem = problem
        self._delay = min(max(_MIN_DELAY, self._delay * 2), _MAX_DELAY)
        begin = time.monotonic()
        delay = self._delay * random.uniform(0.5, 1.0)  # noqa: S311 - spreads attempts, guards nothing
        while (now := time.monotonic()) < begin + delay and self._times_given_up == self._times_given_up_before:
            if begin + _MIN_DELAY < now < self._wanted_until:
                return
            time.sleep(_MIN_DELAY / 4)
