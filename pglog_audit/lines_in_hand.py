"""The lines in the writer's hand: taken from the queue, and not known to be rows, on disk or lost."""

import logging
import time
from contextlib import suppress
from queue import Empty
from typing import Any

from . import diagnostics
from .audit_records import is_audit_record
from .line_queue import LineQueue
from .postgres_handler import PostgresHandler
from .written import MAX_BATCH_BYTES

_SLICE = 250
"""Lines that are finished at once: so many stay in the cache of a processor."""
_MOMENT = 0.02


class LinesInHand:
    """Take lines from *line_queue* for *writer*; for its thread alone, but for :meth:`give_up`."""

    def __init__(self, line_queue: LineQueue, writer: PostgresHandler) -> None:
        self._queue = line_queue
        self._writer = writer
        self._flush_interval = writer.options.flush_interval
        self.lines: list[str] = []
        self.since = 0.0
        """When the first of them came, by time.monotonic(), or little before."""
        self.doubtful = 0
        """How many of them, the first ones, may be rows already."""
        self.given_up = 0
        """How many of them, the first ones, are no more ours."""
        self.claimed = 0
        """Lines in the hands of those to whom they were given up, until these have settled them."""
        self.lock = diagnostics.lock()
        self._taken: list[Any] = []
        """Items from the queue that are no lines yet."""
        self._is_nudged = False
        """Whether somebody waits for what was taken last."""

    def give_up(self) -> list[str]:
        """Return all that is in hand, which the writer's thread will drop, and in the queue; for any thread."""
        with self.lock:
            given = self.lines[self.given_up :]
            self.given_up += len(given)  # the writer may have added one since
            items = self._queue.take_items()
            counted = len(given) + sum(isinstance(item, bytes | str) for item in items)
            self.claimed += counted
        taken = 0
        try:
            given += self._queue.take_many(items, self._format, self._writer.writer_id)
            taken = len(given)
        finally:
            with self.lock:
                self.claimed += taken - counted
        return given

    def drop_given_up(self) -> bool:
        """Drop the lines that were given up meanwhile, and tell whether there were any."""
        with self.lock:
            count, self.given_up = self.given_up, 0
            del self.lines[:count]
        return count > 0

    def is_empty(self) -> bool:
        """Tell whether there are none."""
        return not self.lines and not self._taken

    def fill(self, size: int, until: float | None, *, at_least: int = 0) -> None:
        """
        Take lines until there are *size*, or the first is old enough; wait for that one *until* then.

        :param size: fewer, if they are a statement's bytes; but always *at_least* as many as that.
        """
        room = MAX_BATCH_BYTES - sum(map(len, self.lines))
        is_hurried = until is not None and until <= time.monotonic()
        while (len(self.lines) < size and room > 0) or len(self.lines) < at_least:
            if not self._taken:  # as after an exception
                try:
                    self._taken.append(self._queue.get(until))
                except Empty:
                    return
            room -= self._take(size - len(self.lines), room)
            if self._is_nudged and self._queue.is_empty():
                return
            if not is_hurried:
                until, is_hurried = time.monotonic() + self._flush_interval, True

    def fill_next(self, size: int, sent: int) -> None:
        """Take some of the batch after *sent* lines, up to *size*, for a moment: the server may have answered."""
        end = time.monotonic() + _MOMENT
        room = MAX_BATCH_BYTES - sum(map(len, self.lines[sent:]))
        while (count := size + sent - len(self.lines)) > 0 and room > 0 and (taken := self._take(count, room)):
            room -= taken
            if time.monotonic() >= end:
                return

    def _take(self, count: int, room: int) -> int:
        """Take some of what waits, at most *count* lines and about *room* characters; return how many these have."""
        taken, get_nowait = self._taken, self._queue.queue.get_nowait
        with suppress(Empty, TypeError):  # what is no text, and rare, ends the slice
            for _ in range(len(taken), min(count, _SLICE)):
                taken.append(item := get_nowait())
                room -= len(item)
                if room <= 0:
                    break
        self._is_nudged = bool(taken) and (taken[0] is None or taken[-1] is None)
        if not self.lines:
            self.since = time.monotonic()
        # What was taken stays where it is until there are lines of it, and these are in hand before the next call: an
        # exception may be injected at any of them.
        new, self._taken = self._queue.take_many(taken, self._format, self._writer.writer_id), []
        self.lines += new
        return sum(map(len, new))

    def _format(self, record: logging.LogRecord) -> str | None:
        return self._writer.format(record) if is_audit_record(record) else None
