"""The handler at the end of the trip: lines into rows."""

import itertools
import logging
import os
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Unpack

from uuid_utils import reseed_rng, uuid7

from . import catalog, diagnostics, lines
from .formatter import AuditFormatter
from .options import HandlerOptions, read_options
from .store import Store
from .unlocked_handler import UnlockedHandler
from .verdict import Verdict, verdict, words

_TRIES = 5
"""Attempts at a batch before an error that nobody foresaw counts as the fault of one of its lines."""


@dataclass(slots=True)
class Written:
    """What became of the lines of one call to :meth:`PostgresHandler.write`."""

    stored: int = 0
    duplicates: int = 0
    refused: list[str] = field(default_factory=list)
    """Lines that the table takes in no form, though it takes others."""
    left: list[str] = field(default_factory=list)
    """Lines to try again later."""
    problem: str | None = None
    """Why lines are left, or the last reason for a refusal."""
    verdict: Verdict | None = None


class PostgresHandler(UnlockedHandler):
    """
    Write audit records to PostgreSQL; alone, one row a record, now and in the caller's thread.

    Takes the options of :class:`pglog_audit.AuditHandler`, which is what applications want: this one waits for the
    database at every call, as the handler of a stock :class:`logging.handlers.QueueListener` may.

    :raises ConfigurationError: an option has no meaning or a value that can never work.
    """

    def __init__(
        self,
        conninfo: str | Callable[[], str] | None = None,
        *,
        level: int | str = logging.NOTSET,
        **options: Unpack[HandlerOptions],
    ) -> None:
        # Before logging knows of this handler: it would close one that was refused half-made.
        self.options, formatting = read_options(conninfo, options)
        formatter = AuditFormatter(**formatting)
        super().__init__(level)
        self.store = Store(self.options)
        self.lost: Counter[str] = Counter()
        self.is_in_use = False
        """Whether a listener writes through it, which then says when the connection ends."""
        self._unforeseen = 0
        self._start()
        self.formatter: AuditFormatter
        self.setFormatter(formatter)

    def _start(self) -> None:
        """Begin a writer's sequence, as every process must; a lock that came through a fork may never open."""
        # Its own fork hook may come after ours, or never, where a server forks in C; and children that draw the same
        # ids would take each other's lines for replays.
        reseed_rng()
        self._pid = os.getpid()
        self._writer_id = str(uuid7())
        self._next_seq = itertools.count(1).__next__
        self._one_at_a_time = threading.RLock()
        self._to_emit: deque[str] = deque()
        self._is_emitting = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write the row of *record*, or warn that it is lost."""
        if not self.options.configured:
            return
        try:
            if self._pid != os.getpid():
                self._start()
            line = lines.headed(lines.numbered(self.format(record), self._next_seq()), self._writer_id)
            with self._one_at_a_time:
                self._to_emit.append(line)
                # A signal handler or __del__ that logs in the middle of a write leaves its line to whom it interrupted.
                if not self._is_emitting:
                    self._emit_all()
        except Exception:  # noqa: BLE001 - logging's own rule: a log call never raises
            self.handleError(record)

    def format(self, record: logging.LogRecord) -> str:
        """Return the snapshot of *record*, which AuditFilter took if it comes from another thread."""
        if record.thread != threading.get_ident() and "audit_snapshot" not in record.__dict__:
            diagnostics.warn(
                "no snapshot",
                "Audit events come through a queue without AuditFilter: who acted, and in which request, is lost; "
                "put pglog_audit.AuditFilter into the filters of the QueueHandler",
            )
        return super().format(record)

    def _emit_all(self) -> None:
        self._is_emitting = True
        try:
            while self._to_emit:
                self._emit_line(self._to_emit.popleft())
        finally:
            self._is_emitting = False

    def _emit_line(self, line: str) -> None:
        first = written = self.write([line])
        if written.verdict is Verdict.AWAY:
            # A connection that was kept may have died since the last record; a new one tells.
            written = self.write(written.left)
        if first.duplicates:
            self._lose("conflict", line, "a unique index has such a row")
        elif written.left or written.refused:
            self._lose("refused" if written.refused else "not stored", line, written.problem)

    def _lose(self, reason: str, line: str, why: str | None) -> None:
        self.lost[reason] += 1
        diagnostics.warn("lost", "Audit event lost (%s): %s", lines.describe(line), why)

    def write(self, batch: Sequence[str]) -> Written:
        """
        Make rows of the lines in *batch*: all that the table takes.

        Values that their column refuses move to the metadata; if the server still refuses, halves tell which line it
        is.
        """
        with self._one_at_a_time:
            return self._write(batch)

    def _write(self, batch: Sequence[str]) -> Written:
        done = Written()
        todo = [list(batch)] if batch else []
        while todo:
            chunk = todo.pop()
            try:
                stored = self.store.insert(chunk)
            except Exception as error:  # noqa: BLE001 - the verdict sorts them; none may end the writer's thread
                todo += self._after(error, chunk, done)
                if done.left:
                    break
            else:
                done.stored += stored
                done.duplicates += len(chunk) - stored
        done.left += [line for chunk in reversed(todo) for line in chunk]
        if done.refused and not done.stored and not done.duplicates:
            # Nothing shows that the table takes anything at all: that is no line's fault, and no line is rejected.
            # They wait as they were: what was moved to the metadata meanwhile did not help.
            done.left, done.refused, done.verdict = list(batch), [], Verdict.CONFIGURATION
        if not done.left:
            self._unforeseen = 0
        return done

    def _after(self, error: Exception, chunk: list[str], done: Written) -> list[list[str]]:
        """Return what to send instead of *chunk*; nothing if it is refused for good or left for later."""
        done.problem, done.verdict = words(error), verdict(error)
        if done.verdict is Verdict.UNKNOWN:
            self._unforeseen += 1
        if done.verdict is Verdict.REFUSED or (done.verdict is Verdict.UNKNOWN and self._unforeseen > _TRIES):
            repaired = self._repaired(chunk, all_but_text=len(chunk) == 1)
            if repaired is not None:
                return [repaired]
            if len(chunk) > 1:
                middle = len(chunk) // 2
                return [chunk[middle:], chunk[:middle]]
            done.refused += chunk
            return []
        done.left += chunk
        return []

    def _repaired(self, chunk: list[str], *, all_but_text: bool) -> list[str] | None:
        """Return *chunk* with what no column can hold in the metadata; None if there is nothing to move."""
        table = self.store.table
        if table is None:
            return None
        events = [lines.parse(line) for line in chunk]
        moved = [catalog.move_misfits(event, table) for event in events]
        if not any(moved) and all_but_text:
            moved = [catalog.move_misfits(event, table, all_but_text=True) for event in events]
        if not any(moved):
            return None
        diagnostics.warn(
            "moved",
            "%d audit event(s) with a value that its column refuses; it is stored in their metadata (first: %s)",
            sum(moved),
            lines.describe(chunk[moved.index(True)]),
        )
        return [
            lines.render(event) if was_moved else line
            for event, was_moved, line in zip(events, moved, chunk, strict=True)
        ]

    def abandon(self) -> None:
        """Let go of what a forked child inherited."""
        self._start()
        self.store.abandon()

    def release(self) -> None:
        """Close the connection unless a batch is under way."""
        if self._one_at_a_time.acquire(blocking=False):
            try:
                self.store.close()
            finally:
                self._one_at_a_time.release()

    def close(self) -> None:
        """Close the connection; a record that comes later opens another."""
        # dictConfig closes all handlers under the lock of logging, which a writer that connects may need.
        if not self.is_in_use:
            self.release()
        super().close()
