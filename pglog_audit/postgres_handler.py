"""The handler at the end of the trip: lines into rows."""

import itertools
import logging
import os
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Unpack

import psycopg
from uuid_utils import reseed_rng, uuid7

from . import diagnostics, lines, misfits
from .account import Account
from .formatter import AuditFormatter
from .options import HandlerOptions, read_options
from .own_events import OwnEvents
from .store import Store
from .unlocked_handler import UnlockedHandler
from .verdict import Verdict, verdict, words
from .written import Refusal, Written

if TYPE_CHECKING:
    from .backlog import Backlog

_MAX_UNFORESEEN = 100
_TRIES = 5
"""Attempts at a batch before an error that nobody foresaw counts as the fault of one of its lines."""


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
        self.is_in_use = False
        """Whether a listener writes through it, which then says when the connection ends."""
        self._is_alone = False
        """Whether it took a record itself."""
        self._first = ""
        """Of the batch that is written now."""
        self._unforeseen: dict[str, int] = {}
        """Failures of the batch that begins with that line."""
        self.backlog: Backlog | None = None
        """What is on disk, with the option spool."""
        self._start()
        if self.options.spool is not None:
            from . import backlog  # with all of the spool, which only who has one needs

            self.backlog = backlog.Backlog(self.options, self.writer_id, self.account, self.write)
        self.formatter: AuditFormatter
        self.setFormatter(formatter)

    def _start(self) -> None:
        """Begin a writer's sequence, as every process must; a lock that came through a fork may never open."""
        # Its own fork hook may come after ours, or never, where a server forks in C; and children that draw the same
        # ids would take each other's lines for replays.
        reseed_rng()
        self._pid = os.getpid()
        self.writer_id = str(uuid7())
        self.account = Account()
        if self.backlog is not None:
            self.backlog.abandon(self.writer_id, self.account)
        self._next_seq = itertools.count(1).__next__
        # Alone it never ends, so it says nothing of its start either.
        self._own_events = OwnEvents(self.writer_id, self.account, self._next_seq, service=None, lifecycle=False)
        self._one_at_a_time = diagnostics.lock()
        self._to_emit: deque[tuple[int, str]] = deque()
        self._is_emitting = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write the row of *record*, or warn that it is lost."""
        if not self.options.configured:
            return
        try:
            if self._pid != os.getpid():
                self._start()
            if not self._is_alone:
                self._is_alone = True
                _alone.append(weakref.ref(self, _alone.remove))
            snapshot = self.format(record)
            with self._one_at_a_time:
                self._to_emit.append(self._numbered(snapshot))
                # A signal handler or __del__ that logs in the middle of a write leaves its line to whom it interrupted.
                if not self._is_emitting:
                    self._emit_all()
        except Exception:  # noqa: BLE001 - logging's own rule: a log call never raises
            self.handleError(record)
        finally:
            diagnostics.tell()

    def _numbered(self, snapshot: str) -> tuple[int, str]:
        """Return number and line of *snapshot*, which the journal has if there is one."""
        seq = self._next_seq()
        if self.backlog is not None and self.options.journal:
            with self.backlog.lock:
                return seq, str(self.backlog.record(snapshot, seq, seq))
        return seq, lines.whole(snapshot, seq, self.writer_id)

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
                self._emit_line(*self._to_emit.popleft())
        finally:
            self._is_emitting = False

    def _emit_line(self, seq: int, line: str) -> None:
        first = written = self.write([line])
        if written.verdict is Verdict.AWAY:
            # A connection that was kept may have died since the last record; a new one tells.
            written = self.write(written.left)
        self.account.tell(written, were_sent=written is not first)
        self.account.add(written, [line], were_sent=written is not first)
        for refusal in written.refused:
            self.reject(refusal)
        if written.left:
            self._put_aside(line, written.problem or "")
            return
        self.tell(self._own_events)
        if self.backlog is not None:
            self.backlog.forget(seq)
            replay = partial(self.backlog.replay, self.options.batch_size, others_fit=bool(written.stored))
            replayed = replay()
            if replayed is not None and not replayed.left:
                replay()  # mostly only to see that it was all: else stats() lets it wait until the next record

    def _put_aside(self, line: str, problem: str) -> None:
        self.account.fail(problem)
        if self.backlog is None or self.backlog.keep([line]):
            self.account.lose("not stored", [line], problem)

    def reject(self, refusal: Refusal) -> None:
        """Keep a line that the table takes in no form in the spool, or count it as lost."""
        if self.backlog is not None:
            self.backlog.reject(refusal)
        else:
            self.account.reject(refusal, is_kept=False)

    def tell(self, own_events: OwnEvents, *, last_seq: int | None = None) -> None:
        """Make rows of what a writer says of itself; what the database does not take now waits for the next time."""
        waiting = own_events.waiting(last_seq=last_seq)
        if waiting:
            written = self.write(waiting, others_fit=True)
            for refusal in written.refused:
                diagnostics.warn("own", "The audit trail's own rows are refused: %s", refusal.reason)
            if written.left:
                self.account.fail(written.problem or "")
            own_events.done([line for line in waiting if line not in written.left])

    def write(
        self,
        batch: Sequence[str],
        *,
        others_fit: bool = False,
        are_new: bool = False,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> Written:
        """
        Make rows of the lines in *batch*: all that the table takes.

        Values that their column refuses move to the metadata; if the server still refuses, halves tell which line it
        is. Where it refuses all of *batch*, that is their own fault only if *others_fit*. See :meth:`Store.insert` for
        *are_new* and *meanwhile*.
        """
        # A thread that was in here when the interpreter began to end never leaves.
        if not self._one_at_a_time.acquire(blocking=not sys.is_finalizing()):
            return Written(left=list(batch), problem="the interpreter ends", verdict=Verdict.AWAY)
        try:
            return self._write(batch, others_fit=others_fit, are_new=are_new, meanwhile=meanwhile)
        finally:
            self._one_at_a_time.release()
            diagnostics.tell()

    def _write(
        self, batch: Sequence[str], *, others_fit: bool, are_new: bool, meanwhile: Callable[[], None]
    ) -> Written:
        done = Written()
        self._first = batch[0] if batch else ""
        todo = [list(batch)] if batch else []
        while todo:
            chunk = todo.pop()
            try:
                stored = self.store.insert(chunk, are_new=are_new, meanwhile=meanwhile)
            except Exception as error:  # noqa: BLE001 - the verdict sorts them; none may end the writer's thread
                is_doubtful, are_new = are_new and _is_conflict(error), False
                todo += [chunk] if is_doubtful else self._after(error, chunk, done)
                if done.left:
                    break
            else:
                done.stored += stored
                done.duplicates += len(chunk) - stored
        done.left += [line for chunk in reversed(todo) for line in chunk]
        if done.refused and not (done.stored or done.duplicates or others_fit):
            # Nothing shows that the table takes anything at all: that is no line's fault, and no line is rejected.
            # They wait as they were: what was moved to the metadata meanwhile did not help.
            done.left, done.refused, done.verdict = list(batch), [], Verdict.CONFIGURATION
        if not done.left and batch:
            self._unforeseen.pop(batch[0], None)
        return done

    def _after(self, error: Exception, chunk: list[str], done: Written) -> list[list[str]]:
        """Return what to send instead of *chunk*; nothing if it is refused for good or left for later."""
        done.problem, done.verdict = words(error), verdict(error)
        if done.verdict is Verdict.UNKNOWN:
            if len(self._unforeseen) > _MAX_UNFORESEEN:
                self._unforeseen.clear()
            self._unforeseen[self._first] = self._unforeseen.get(self._first, 0) + 1
        if done.verdict is Verdict.REFUSED or (
            done.verdict is Verdict.UNKNOWN and self._unforeseen[self._first] > _TRIES
        ):
            table = self.store.table
            if table is not None and (repaired := misfits.repaired(chunk, table, error)):
                return [repaired]
            if len(chunk) > 1:
                middle = len(chunk) // 2
                return [chunk[middle:], chunk[:middle]]
            state = error.sqlstate if isinstance(error, psycopg.Error) else None
            done.refused += [Refusal(line, state, done.problem) for line in chunk]
            return []
        done.left += chunk
        return []

    def stats(self) -> dict[str, Any]:
        """Return the counters of this writer, and what of it is on disk: see :func:`pglog_audit.stats`."""
        counts, backlog = self.account.stats(), self.backlog
        age = None if backlog is None else backlog.age()
        return {
            "queued": 0,
            "oldest_unsent": age,
            "problem": None if age is None else counts["last_error"],
            "spool_bytes": None if backlog is None else backlog.used,
            **counts,
        }

    def abandon_if_forked(self) -> None:
        """Begin a sequence of this process's own, unless it is."""
        if self._pid != os.getpid():
            self.abandon()

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
            if self.backlog is not None:
                self.backlog.close()
        super().close()


def _is_conflict(error: Exception) -> bool:
    return isinstance(error, psycopg.errors.UniqueViolation | psycopg.errors.ExclusionViolation)


_alone: "list[weakref.ref[PostgresHandler]]" = []


def alone() -> list[PostgresHandler]:
    """Return the handlers through which this process wrote records without a listener."""
    handlers = (reference() for reference in list(_alone))
    return [handler for handler in handlers if handler is not None and handler._pid == os.getpid()]
