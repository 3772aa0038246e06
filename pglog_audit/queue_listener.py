"""
The listener of the pair: the thread that writes.

It is the writer of its process: queue, numbers, thread and connection are its own, and handlers only hold it.
Everything starts at the first record, in the process that logs it, because servers fork between configuration and the
first request.
"""

import logging
import sys
import threading
import time
import weakref
from collections.abc import Callable
from logging.handlers import QueueListener
from typing import Any

from . import diagnostics, lines, processes, writer_thread
from .delivery import Delivery
from .errors import ConfigurationError
from .line_queue import POLL_INTERVAL, LineQueue
from .postgres_handler import PostgresHandler

_SLOWER, _MAX_INTERVAL = 1.05, 0.05
"""Who waits in flush() looks less often the longer it takes, and is a twentieth late."""
CLOSE_TIMEOUT = 0.25
"""Seconds that close() waits: logging calls flush() before."""


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
        self._holders: set[weakref.ref[Any]] = set()
        self._started_by_hand = False
        self.writer.abandon_if_forked()  # it may be as old as the configuration
        journal = self.writer.backlog if self.options.journal else None
        self._begin(LineQueue(queue, self.options.capacity, self.options.max_bytes, journal))
        processes.add(self)

    def _begin(self, line_queue: LineQueue) -> None:
        """Set the state of a writer that has written nothing."""
        self.queue = line_queue.queue
        self.lines = line_queue
        """The queue proper, within its bounds."""
        self._state_lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._interruptions = 0
        """Of the last steps, one after the other."""
        self._delivery = Delivery(self.writer, line_queue)

    def begin_in_child(self) -> None:
        """Start anew in a forked child: the lines in the queue, the thread and the connection are the parent's."""
        self.writer.abandon()
        self._begin(self.lines.renewed())

    # The threads that log

    def submit(self, snapshot: bytes | str) -> None:
        """Queue *snapshot*; without room it goes to the spool, or is counted as lost."""
        if not self.lines.is_ours[0]:
            self.begin_in_child()
        if not self.lines.is_attended:
            self.start_writer()  # whoever waits for room waits for the writer
        if not self.lines.put_at_once(snapshot):
            self._put(snapshot)
        self.see_to_it()

    def see_to_it(self) -> None:
        """See to it that what was queued is written, though the writer has ended, or the process is about to."""
        if diagnostics.waiting:
            diagnostics.tell()
        # After the put: a writer that ends has looked into the queue after it said so.
        if not self.lines.is_attended:
            self.start_writer()
        if processes.is_ending or sys.is_finalizing():
            processes.finish([self], 0.0 if self.problem else processes.FLUSH_TIMEOUT)

    def _put(self, snapshot: bytes | str) -> None:
        try:
            turned_away = self.lines.put(snapshot, self.options.block_timeout, self._is_writing)
        finally:
            if diagnostics.waiting:
                diagnostics.tell()
        if turned_away is not None:
            self._put_aside(turned_away)

    def _put_aside(self, turned_away: str) -> None:
        backlog, reason, why = self.writer.backlog, "queue full", None
        if backlog is not None:
            if not backlog.keep([lines.headed(turned_away, self.writer.writer_id)]):
                self._nudge()  # it may have emptied the queue meanwhile, and wait for another line
                return
            reason, why = "spool", backlog.problem
        self.writer.account.lose(reason, [turned_away], why)

    @property
    def problem(self) -> str | None:
        """Why lines wait now."""
        return self._delivery.problem

    def _is_writing(self) -> bool:
        """Tell whether the database answers, and another thread writes."""
        return self.lines.is_attended and self.problem is None and self._thread is not threading.current_thread()

    def flush(self, timeout: float | None = None) -> int:
        """
        Wait until what was queued is written, at most *timeout* seconds (by default 0.5).

        :return: how many lines are still neither row, nor on disk, nor counted as lost.
        :raises ConfigurationError: *timeout* is no number.
        """
        timeout = processes.flush_timeout(timeout)
        if not self.lines.is_ours[0] or self._thread is threading.current_thread():
            return 0
        deadline = time.monotonic() + timeout
        goal = self.lines.submitted
        if self.lines.is_pending(goal):
            self._delivery.want(deadline)
            self.start_writer()
            self.lines.nudge()
            if not self.lines.is_attended or sys.is_finalizing():
                # The interpreter ends, and no thread of ours runs any more.
                self._delivery.want(float("inf"))
                self._delivery.step()
                return max(0, goal - self.lines.settled)
        interval = POLL_INTERVAL
        while self.lines.is_pending(goal) and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(interval, left))
            interval = min(interval * _SLOWER, _MAX_INTERVAL)
        return max(0, goal - self.lines.settled)

    def end(self, timeout: float) -> bool:
        """
        Write the row that says that this is the end, at most *timeout* seconds.

        :return: whether there is nothing more to say; False too while lines still wait.
        """
        if not self.lines.is_ours[0] or not self.lines.submitted:
            return True
        if not self._delivery.is_idle():
            return False
        self._delivery.want(time.monotonic() + timeout)
        self._delivery.is_ending = True
        if not self.lines.is_attended or sys.is_finalizing():
            self._delivery.step()
        self._nudge()
        self._wait_while(lambda: self.lines.is_attended and self._delivery.is_ending, timeout)
        return not self._delivery.is_ending

    def lost(self) -> int:
        """Return how many lines were lost so far."""
        return self.writer.account.lost

    def give_up(self) -> int:
        """Put what is queued to the spool at the end of the process, and return how many lines are lost instead."""
        lost = self._delivery.give_up()
        self.writer.release()
        return lost

    def place_of_backlog(self) -> str | None:
        """Return the directory of the spool if lines of this process wait there."""
        backlog = self.writer.backlog
        return self.options.spool if backlog is not None and backlog.age() is not None else None

    def stats(self) -> dict[str, Any]:
        """Return the counters of this process: see :func:`pglog_audit.stats`."""
        now = {
            "queued": self.lines.unsettled(),
            "oldest_unsent": self._delivery.oldest_unsent(),
            "problem": self.problem,
        }
        return {**self.writer.stats(), **now}

    # The life of the thread

    def hold(self, holder: object) -> None:
        """Keep the writer alive for *holder*."""
        # A handler may also be dropped without close(), while the writer waits for the next line.
        self._holders.add(weakref.ref(holder, self._forget_holder))

    def let_go(self, holder: object) -> None:
        """End the writer when its queue is empty, unless others hold it."""
        self._forget_holder(weakref.ref(holder))

    def _forget_holder(self, holder: "weakref.ref[Any]") -> None:
        self._holders.discard(holder)
        self._nudge()

    def _nudge(self) -> None:
        # One that nobody takes would look like a line that waits.
        if self.lines.is_attended:
            self.lines.nudge()

    def start(self) -> None:
        """Start the writer, which then runs until :meth:`stop`; the first record starts it too."""
        self._started_by_hand = True
        self.start_writer()

    def start_writer(self) -> None:
        """Start the thread unless it runs."""
        if self.writer.backlog is not None and not self.lines.is_attended:
            self.writer.backlog.prepare()
        with self._state_lock:
            # A thread started while the interpreter is taken down never runs; 3.11 waits for it for ever. It is asked
            # first: a finalizer that audits may come after any call, and start the writer.
            if sys.is_finalizing() or self.lines.is_attended:
                return
            self.lines.is_attended, self._thread = True, None
            processes.drain_at_exit()
            try:
                writer_thread.start(self._monitor, self.queue)
            except RuntimeError:
                self.lines.is_attended = False  # flush() writes

    def stop(self) -> None:
        """Write what is queued, for at most *shutdown_timeout*, and end the thread; a later record starts it again."""
        self._started_by_hand = False
        self._holders.clear()
        self.flush(self.shutdown_timeout)
        self._nudge()
        is_other = self._thread is not threading.current_thread()
        self._wait_while(lambda: self.lines.is_attended and is_other, processes.FLUSH_TIMEOUT)

    def _wait_while(self, condition: Callable[[], bool], timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while condition() and time.monotonic() < deadline:
            time.sleep(POLL_INTERVAL)

    def _monitor(self) -> None:
        self._thread = threading.current_thread()
        try:
            while not self._is_done():
                pass
        finally:
            with self._state_lock:
                if self._thread is threading.current_thread():
                    self.lines.is_attended = False

    def _is_done(self) -> bool:
        """Tell whether the thread is to end: never because of what is injected into it, while it recovers neither."""
        try:
            return self._supervise()
        except BaseException:  # noqa: BLE001 - a thread that ends here would leave its lines to nobody
            self.writer.account.count("restarts", 1)
            return False

    def _supervise(self) -> bool:
        """Take a step, unless it was the last one, and tell whether it was."""
        try:
            if self._is_over():
                return True
            self._delivery.step()
            if self._delivery.is_idle():
                self._delivery.settle_missing()
            self._interruptions = 0
        except BaseException as error:  # noqa: BLE001 - see above
            self.writer.account.count("restarts", 1)
            self.writer.account.fail(repr(error))
            diagnostics.warn("restarted", "The audit writer was interrupted and goes on: %r", error)
            time.sleep(min(0.01 * 2**self._interruptions, 30.0))
            self._interruptions += 1
        return False

    def _is_over(self) -> bool:
        """Tell whether the thread ends: nobody wants it, and no line came while it said so."""
        if self._holders or self._started_by_hand or not self._delivery.is_idle():
            return False
        self._delivery.is_ending = True
        self._delivery.step()
        self.writer.release()
        self.lines.is_attended = False
        with self._state_lock:
            if self.lines.is_attended or self._delivery.is_idle():
                return True
            self.lines.is_attended = True
        return False
