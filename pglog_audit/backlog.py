"""
The backlog: the lines of a writer that are on disk because the database did not take them, and their way back.

In the journal the caller records each line itself; whoever writes it live forgets it there, and keeps what it does not.
"""

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Protocol, runtime_checkable

from psycopg.conninfo import conninfo_to_dict

from . import diagnostics, lines
from .account import Account
from .errors import SpoolError
from .lines import RECORDED
from .options import WriterOptions
from .recorded_lines import RecordedLines
from .replay import Replayed, replay
from .spool import BadLine, Spool
from .written import Refusal, Written

DEF_PGPORT_STR = "5432"
"""libpq's own default, by its own name: with and without it written out, a database is the same."""
ORPHANS_INTERVAL = 30.0
"""Seconds between two looks at what dead writers left."""
_REFUSED_INTERVAL = 5.0
"""Seconds until lines are tried again of which the table took none."""


class Backlog:
    """
    Keep lines on disk, and replay them.

    :param write: makes rows of lines, as :meth:`PostgresHandler.write` does.
    """

    def __init__(self, options: WriterOptions, writer_id: str, account: Account, write: Callable[..., Written]) -> None:
        self._options = options
        self._write = write
        self._begin(writer_id, account)

    def _begin(self, writer_id: str, account: Account) -> None:
        self._writer_id = writer_id
        self._account = account
        self.lock = diagnostics.lock()
        """The lock that whoever calls :meth:`record` has."""
        self._spools: dict[str, Spool] = {}
        """By what they are for: a target that comes back has its files there, under the same names."""
        self._current: Spool | None = None
        self.next_look = 0.0
        """When to look again for lines to replay, by time.monotonic()."""
        self._recorded = RecordedLines()
        self._replayed_until = 0
        """The highest number of a line of this process that was replayed."""
        self._since: float | None = None
        """Since when lines of this process are on disk."""

    def abandon(self, writer_id: str, account: Account) -> None:
        """Start anew in a forked child."""
        for spool in self._spools.values():
            spool.abandon(writer_id)
        self._begin(writer_id, account)

    @property
    def _spool(self) -> Spool:
        return self._current or self._choose()

    def _choose(self) -> Spool:
        """Return the spool for the database that is meant now; the settings may mean another one than before."""
        target = describe_target(self._options)
        with self.lock:
            if target not in self._spools:
                new = Spool(
                    self._options.spool or "",
                    target,
                    self._writer_id,
                    max_bytes=self._options.spool_max_bytes,
                    fsync=self._options.fsync,
                    lock=self.lock,
                )
                # A signal handler that logs may have made it meanwhile.
                self._spools.setdefault(target, new)
            self._current = self._spools[target]
            return self._current

    @property
    def used(self) -> int:
        """Bytes on disk, of all writers of the target."""
        return self._spool.used

    @property
    def problem(self) -> str | None:
        """Why the last line was not kept."""
        return self._spool.problem

    def prepare(self) -> None:
        """
        Choose the directory for the database that is meant now, before a writer begins or begins again.

        One that is new is made and checked, with a warning if it is not to be used: later events may need it.
        """
        known = len(self._spools)
        spool = self._choose()
        if len(self._spools) == known:
            return
        try:
            spool.prepare()
        except (SpoolError, OSError) as error:
            diagnostics.warn("spool", "The spool does not work, and events that it should keep may be lost: %s", error)

    # Lines that the database does not take now

    def record(self, snapshot: bytes | str, seq: int, number: int) -> bytes | str:
        """
        Write *snapshot* to the journal, until *number* lines are forgotten, and return what stands there.

        :param snapshot: a text, whose line it is; or bytes that may stand there as they are, and are finished later.
        """
        line: bytes | str
        if isinstance(snapshot, bytes):
            line = chunk = RECORDED % (seq, snapshot)
        else:
            line = lines.whole(snapshot, seq, self._writer_id)
            chunk = f"{line}\n".encode()
        # What a log call usually does, without a further call.
        spool = self._current or self._choose()
        if spool.record_at_once(chunk, number) or spool.record_chunk(chunk, number):
            run = self._recorded.current
            if seq == run.last + 1 == number + run.shift:
                run.last = seq  # as add() does, without a call
            else:
                self._recorded.add(seq, number)
            return line
        self._account.count("unjournaled", 1)
        diagnostics.warn("journal", "An audit event is not in the journal: %s", self._spool.problem)
        return line

    def forget(self, number: int) -> None:
        """Drop the first *number* lines from the journal: they are rows, or kept."""
        if self._options.journal:
            self._recorded.forget(number)  # before: whoever keeps one of these appends it
            self._spool.forget(number)

    def keep(self, batch: Sequence[str]) -> list[str]:
        """Keep *batch* on disk, and return the lines of it for which there is no room."""
        unrecorded = self._unrecorded(batch)
        left = unrecorded[self._spool.append(unrecorded) :] if unrecorded else []
        self._account.count("spooled", len(batch) - len(left))
        self._note(len(batch) - len(left))
        return left

    def _unrecorded(self, batch: Sequence[str]) -> list[str]:
        """Keep what the journal has of *batch*, and return the rest."""
        is_there = any(map(self._is_recorded, batch)) and self._spool.keep()
        # Asked again after keep(): what was forgotten before it is not there.
        return [line for line in batch if not (is_there and self._is_recorded(line))]

    def _is_recorded(self, line: str) -> bool:
        return self._options.journal and lines.seq(line) in self._recorded

    def keep_journal(self) -> bool:
        """Keep all that is recorded and not forgotten, and tell whether it is there."""
        is_there = self._options.journal and self._spool.keep()
        return self._note(is_there) > 0

    def keep_own(self, batch: Sequence[str]) -> int:
        """Keep lines that are no caller's, and return how many of them are."""
        return self._note(self._spool.append(batch)) if batch else 0

    def _note(self, kept: int) -> int:
        if kept:
            self._since = self._since or time.monotonic()
            self.next_look = 0.0
        return kept

    def reject(self, refusal: Refusal) -> None:
        """Keep a line that the table takes in no form for people to look into."""
        is_kept = self._spool.reject(refusal.line, refusal.sqlstate, refusal.reason)
        self._account.reject(refusal, is_kept=is_kept)

    # Their way back

    def age(self) -> float | None:
        """Return for how many seconds lines of this process have been on disk; None if there are none."""
        return None if self._since is None else time.monotonic() - self._since

    def replay(self, max_lines: int, *, others_fit: bool) -> Written | None:
        """
        Make rows of the oldest lines, at most *max_lines*; return None if there are no more.

        :param others_fit: whether the table takes other lines at this moment, so that a refusal is a line's own fault.
        """
        replayed = self._replay(max_lines, others_fit=others_fit)
        if replayed is None:
            self._spool.seal()
            replayed = self._replay(max_lines, others_fit=others_fit)
        if replayed is None:
            if not self._spool.is_blocked:
                self._since = None
            self.next_look = time.monotonic() + ORPHANS_INTERVAL
            return None
        taken, written = replayed.taken, replayed.written
        # Counters are of events alone.
        written.stored -= min(written.stored, sum(map(lines.is_own, replayed.lines)))
        self._account.add(written, replayed.lines, were_sent=True)
        if not written.left:
            self._account.note_rejects(written.refused)
            self._note_bad(taken.bad)
        return written

    def _replay(self, max_lines: int, *, others_fit: bool) -> Replayed | None:
        try:
            replayed = replay(self._spool, self._write, max_lines, others_fit=others_fit)
        except BaseException:
            self._replayed_until = sys.maxsize  # nobody knows which
            raise
        if replayed is not None and replayed.taken.writer_id == self._writer_id:
            self._replayed_until = max([self._replayed_until, *map(lines.seq, replayed.lines)])
        return replayed

    def may_have_replayed(self, batch: Sequence[str]) -> bool:
        """Tell whether lines of *batch* may be rows already, because the journal has them too."""
        is_possible = self._options.journal and self._replayed_until > 0
        return is_possible and any(lines.seq(line) <= self._replayed_until for line in batch)

    def _note_bad(self, bad: Sequence[BadLine]) -> None:
        # What a writer that died left unfinished was never said to be kept.
        reasons = [each.reason for each in bad if not each.is_torn]
        self._account.count("rejected", len(reasons))
        if reasons:
            diagnostics.warn("bad line", "The spool has what is no event (%s): see its rejects", reasons[0])

    def put_off(self) -> None:
        """Look again later."""
        self.next_look = time.monotonic() + _REFUSED_INTERVAL

    def close(self) -> None:
        """Let go of files and locks."""
        self._spool.close()
        self.next_look = 0.0


@runtime_checkable
class NamedTarget(Protocol):
    """A callable that tells which database it is for without what it fetches, such as a password."""

    def target(self) -> str:
        """Return a conninfo of the database, as the callable would if it were called now."""


def describe_target(options: WriterOptions) -> str:
    """Return what lines with these *options* are for: database and table, never who writes, or by which password."""
    return f"{_describe_database(options)} table={options.table}"


def _describe_database(options: WriterOptions) -> str:
    if isinstance(options.pool, str):
        return f"pool={options.pool}"
    conninfo = options.conninfo if options.pool is None else options.pool.conninfo
    if isinstance(conninfo, NamedTarget):
        with suppress(Exception):  # the application's code; its name is the same in every run
            return describe_database(conninfo.target(), os.environ)
    if callable(conninfo):
        return f"conninfo={conninfo.__module__}:{getattr(conninfo, '__qualname__', type(conninfo).__qualname__)}"
    return describe_database(conninfo or "", os.environ)


def describe_database(conninfo: str, environ: Mapping[str, str]) -> str:
    """Return the database that *conninfo* names, the environment's variables of libpq included."""
    parts = conninfo_to_dict(conninfo)
    named = {name: parts.get(name) or environ.get(f"PG{variable}") for name, variable in _PARTS.items()}
    if not named["service"]:
        named["port"] = named["port"] or DEF_PGPORT_STR
    return " ".join(f"{name}={value}" for name, value in named.items() if value) or "libpq's defaults"


_PARTS = {"service": "SERVICE", "host": "HOST", "hostaddr": "HOSTADDR", "port": "PORT", "dbname": "DATABASE"}
