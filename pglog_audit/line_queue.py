"""
The queue between the threads that log and the thread that writes: snapshots, within bounds.

What can wait is left to the writer: a snapshot is finished and numbered when it leaves the queue, or is turned away.
With a journal the caller does both, since it writes the whole line.

Nothing here may deadlock when a signal handler or a ``__del__`` logs in the middle of a log call: the queue is a
SimpleQueue, the lock can be taken again by its own thread, and whoever waits polls.
"""

import asyncio
import itertools
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, Full, SimpleQueue
from typing import Any, Protocol

from . import diagnostics, lines
from .finishing import created, finish, finish_all
from .fork_marks import fork_mark

POLL_INTERVAL = 0.002


class Journal(Protocol):
    """Where lines are on disk before a log call returns."""

    @property
    def lock(self) -> threading.RLock:
        """The lock that whoever records has: what stands there is in the order of the queue."""

    def record(self, snapshot: bytes | str, seq: int, number: int) -> bytes | str:
        """Record *snapshot* as number *seq*, until *number* lines are settled; return what is to be queued."""


class LineQueue:
    """
    Hold snapshots for the writer, and number them.

    :param queue: the queue proper; other handlers may put records into it too, or guests.
    :param capacity: lines, and *max_bytes* their bytes.
    :param journal: gets each snapshot before it is queued.
    """

    def __init__(
        self,
        queue: Any,
        capacity: int,
        max_bytes: int,
        journal: Journal | None = None,
    ) -> None:
        self.queue = queue
        self.is_ours = fork_mark()
        """Whether the process is the one that made it, at index 0."""
        self.is_attended = False
        """Whether somebody takes what is put."""
        self._journal = journal
        self._record = None if journal is None else journal.record
        # A bounded queue.Queue makes callers wait just the same.
        capacity = min(capacity, getattr(queue, "maxsize", 0) or capacity)
        self._max_lines = capacity
        self._max_bytes = max_bytes
        self._crowded_lines = capacity - capacity // 8
        self._crowded_bytes = max_bytes - max_bytes // 8
        self._lock = diagnostics.lock() if journal is None else journal.lock
        self.last_seq = 0
        """The last number that was drawn."""
        self._bytes = 0
        self._has_guests = False
        """Whether others put records into the queue, as a stock QueueHandler does: they count only when taken."""
        # With next() a call of C, which no other thread interrupts.
        self._counter = itertools.count(1)
        self._asked = 0
        """How often it was raised for no line."""
        self.under_way = 0
        """Lines that come in: a signal handler may put its own between the record of one and its place in the queue."""
        self.settled = 0
        """Lines of which it is known what became of them."""

    def renewed(self) -> "LineQueue":
        """Return an empty queue with the same bounds, for a forked child."""
        return LineQueue(SimpleQueue(), self._max_lines, self._max_bytes, self._journal)

    @property
    def submitted(self) -> int:
        """Lines that came in."""
        with self._lock:
            # To ask raises the number, too.
            self._asked += 1
            return next(self._counter) - self._asked

    def put_at_once(self, snapshot: bytes | str) -> bool:
        """
        Queue *snapshot* if that is all there is to do, with ample room, and tell whether it was.

        Without the lock, unless there is a journal: it costs a log call more than all the rest. A thread that comes in
        between may find a line that is not counted yet, never one that is missing.
        """
        if not (self.is_attended and self.is_ours[0]):
            return False
        length = len(snapshot) if type(snapshot) is bytes else lines.size(snapshot)  # type: ignore[arg-type] # a text
        if self._record is not None:
            return self._put_below(self._crowded_lines, self._crowded_bytes, snapshot, length)
        if self.queue.qsize() >= self._crowded_lines or self._bytes + length > self._crowded_bytes:
            return False
        try:
            self.queue.put_nowait(snapshot)
        except Full:
            return False
        except BaseException:  # of a signal handler, right after: uncounted it would hide another one from flush()
            next(self._counter)
            raise
        next(self._counter)
        self._bytes += length
        return True

    def put(self, snapshot: bytes | str, timeout: float | None, is_worth_waiting: Callable[[], bool]) -> str | None:
        """
        Queue *snapshot*; return it, numbered, if there was no room.

        Wait for room at most *timeout* seconds while it *is_worth_waiting*, never inside an event loop. Callers are
        slowed down from seven eighths on: with the last eighth a pause of the database costs no line, even if it is
        longer than any one call may wait.
        """
        length = len(snapshot) if isinstance(snapshot, bytes) else lines.size(snapshot)
        if self._put_below(self._crowded_lines, self._crowded_bytes, snapshot, length):
            return None
        deadline = float("inf") if timeout is None else time.monotonic() + timeout
        while time.monotonic() < deadline and length <= self._max_bytes and is_worth_waiting() and self._may_wait():
            time.sleep(POLL_INTERVAL)
            if self._put_below(self._crowded_lines, self._crowded_bytes, snapshot, length):
                return None
        if self._put_below(self._max_lines, self._max_bytes, snapshot, length):
            return None
        # A line without room has its number too, so that its absence shows in the table.
        return lines.numbered(finish(snapshot), self.draw())

    def _may_wait(self) -> bool:
        # A signal handler that interrupted its own thread in here holds the lock, and the writer needs it to make room.
        return not (self._lock._is_owned() or _in_event_loop())  # type: ignore[attr-defined] # as threading.Condition

    def _put_below(self, max_lines: int, max_bytes: int, snapshot: bytes | str, length: int) -> bool:
        with self._lock:
            if self.queue.qsize() >= max_lines or self._bytes + length > max_bytes:
                return False
            # Counted before it is queued: a signal handler may log, or raise, at any moment.
            number = next(self._counter) - self._asked
            try:
                if self._record is None:
                    self.queue.put_nowait(snapshot)
                else:
                    self.under_way += 1
                    try:
                        self.last_seq = seq = self.last_seq + 1  # as in draw()
                        self.queue.put_nowait(self._record(snapshot, seq, number))
                    finally:
                        self.under_way -= 1
            except Full:
                self._asked += 1
                return False
            self._bytes += length
        return True

    def draw(self) -> int:
        """Return the next number."""
        # Without a call in between: see put_at_once. In a variable of its own, because a signal handler that logs right
        # after takes the next one.
        self.last_seq = seq = self.last_seq + 1
        return seq

    def get(self, deadline: float | None) -> Any:
        """
        Return the next item, None for a nudge; wait for it until *deadline*, without one as long as it takes.

        :raises queue.Empty: there was none in time.
        """
        try:
            return self.get_at_once()
        except Empty:
            self._bytes = 0  # whatever was counted wrong, by an exception in between
            if deadline is None:
                return self.queue.get()
            return self.queue.get(timeout=max(0.0, deadline - time.monotonic()))

    def get_at_once(self) -> Any:
        """
        Return the next item, None for a nudge.

        :raises queue.Empty: there is none.
        """
        return self.queue.get(block=False)

    def take(self, item: Any, format_record: Callable[[logging.LogRecord], str | None], writer_id: str) -> str | None:
        """Return the line of *item*, by the writer of that id; None for a nudge, or a record that is none of ours."""
        if type(item) is bytes:
            return self._lines_of([item], writer_id)[0]
        if type(item) is str:
            is_numbered = lines.is_numbered(item)
            length = lines.size_unnumbered(item) if is_numbered else lines.size(item)
            self._bytes -= length
            if is_numbered:
                return lines.headed(item, writer_id)
        elif (item := self._guest(item, format_record)) is None:
            return None
        return lines.whole(item, self.draw(), writer_id)

    def take_many(
        self, items: list[Any], format_record: Callable[[logging.LogRecord], str | None], writer_id: str
    ) -> list[str]:
        """Return the lines of *items*: see :meth:`take`."""
        if set(map(type, items)) == {bytes}:
            return self._lines_of(items, writer_id)
        return [line for item in items if (line := self.take(item, format_record, writer_id)) is not None]

    def _lines_of(self, items: list[bytes], writer_id: str) -> list[str]:
        if self._record is not None:
            seqs, snapshots = zip(*map(lines.split_recorded, items), strict=True)
            length = sum(map(len, snapshots))
            self._bytes -= length  # without a call in between: see put_at_once
            return finish_all(snapshots, lambda: lines.recorded_heads(seqs, map(created, snapshots), writer_id))

        length, count = sum(map(len, items)), len(items)

        def heads() -> list[str]:
            self._bytes -= length  # as above
            self.last_seq = last = self.last_seq + count
            return lines.new_heads(range(last - count + 1, last + 1), writer_id)

        return finish_all(items, heads)

    def _guest(self, item: Any, format_record: Callable[[logging.LogRecord], str | None]) -> str | None:
        snapshot = format_record(item) if isinstance(item, logging.LogRecord) else item
        if snapshot is not None:
            with self._lock:
                self._has_guests = True
                next(self._counter)
        return snapshot

    def nudge(self) -> None:
        """Let the writer look up from waiting for lines."""
        with self._lock, suppress(Full):
            self.queue.put_nowait(None)

    def is_empty(self) -> bool:
        """Tell whether nothing waits."""
        return bool(self.queue.empty())

    def is_pending(self, goal: int) -> bool:
        """Tell whether lines up to *goal*, a former value of ``submitted``, wait for the writer."""
        return self.settled < goal or (self._has_guests if self.submitted > self.settled else not self.is_empty())

    def unsettled(self) -> int:
        """Return how many lines are here, or in the writer's hand."""
        return max(0, self.submitted - self.settled)

    def take_items(self) -> list[Any]:
        """Return the items of all that waits: see :meth:`take_many`."""
        items: list[Any] = []
        with self._lock, suppress(Empty):
            while True:
                items.append(self.get_at_once())
        return items

    def missing(self) -> int:
        """Return how many lines are nowhere, if nothing waits here, nor in the writer's hand."""
        with self._lock:
            # In this order: a line may come in, without the lock, between the two.
            count = self.unsettled()
            return count if self.is_empty() else 0


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
