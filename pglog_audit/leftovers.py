"""
What dead writers left on disk, replayed because somebody asks for it.

A handler's :class:`~pglog_audit.backlog.Backlog` goes on for ever, beside new lines; this one ends, and says why.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .replay import Replayed, replay
from .spool import Spool
from .verdict import Verdict
from .written import Written

_MAX_LINES = 1000
_MAX_TRIES = 8
"""Attempts at lines that failed for no reason that we foresaw; by then the writer has found which one is to blame."""


@dataclass
class LeftoversDone:
    """What became of the lines so far."""

    stored: int = 0
    duplicates: int = 0
    """Lines that were rows already."""
    rejected: int = 0
    problem: str | None = None
    """Why it ended before all was done."""
    verdict: Verdict | None = None

    @property
    def lines(self) -> int:
        """How many lines were dealt with."""
        return self.stored + self.duplicates + self.rejected


class Leftovers:
    """
    Replay what *spool* gives, one batch a step.

    :param write: makes rows of lines, as :meth:`PostgresHandler.write` does.
    :param others_fit: whether the table is known to take other lines, so that a refusal is a line's own fault.
    """

    def __init__(self, spool: Spool, write: Callable[..., Written], *, others_fit: bool) -> None:
        self._spool = spool
        self._write = write
        self._others_fit = others_fit
        self._max_lines = _MAX_LINES
        self._tries = 0
        self._stored_before = 0
        """Rows of attempts that did not get through their whole batch: they come back as duplicates, and are none."""
        self.done = LeftoversDone()

    def steps(self) -> Iterator[LeftoversDone]:
        """Replay, and yield after each batch what became of the lines so far."""
        while self.done.problem is None and (replayed := self._replay()) is not None:
            self._note(replayed)
            yield self.done

    def _replay(self) -> Replayed | None:
        return replay(self._spool, self._write, self._max_lines, others_fit=self._others_fit)

    def _note(self, replayed: Replayed) -> None:
        written = replayed.written
        self.done.stored += written.stored
        self._others_fit = self._others_fit or written.stored > 0
        if written.left:
            self._stored_before += written.stored
            self._after_failure(written)
            return
        ours = min(written.duplicates, self._stored_before)
        self._stored_before -= ours
        self.done.duplicates += written.duplicates - ours
        self.done.rejected += len(written.refused) + len(replayed.taken.bad)
        self._max_lines, self._tries = min(self._max_lines * 2, _MAX_LINES), 0

    def _after_failure(self, written: Written) -> None:
        """Prepare another attempt, or end."""
        self._tries += 1
        if written.verdict is Verdict.SMALLER and self._max_lines > 1:
            self._max_lines //= 2
        elif written.verdict not in (Verdict.UNKNOWN, Verdict.RETRY) or self._tries > _MAX_TRIES:
            self.done.problem, self.done.verdict = written.problem or "for an unknown reason", written.verdict
