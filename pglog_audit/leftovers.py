"""
What dead writers left on disk, replayed because somebody asks for it.

A handler's :class:`~pglog_audit.backlog.Backlog` goes on for ever, beside new lines; this one ends, and says why.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from uuid_utils import uuid7

from . import lines
from .number_ranges import NumberRanges
from .spool import Spool, Taken
from .verdict import Verdict
from .written import Refusal, Written

_MAX_LINES = 1000
_MAX_BYTES = 4 * 1024 * 1024
_MAX_TRIES = 8
"""Attempts at lines that failed for no reason that we foresaw; by then the writer has found which one is to blame."""


@dataclass
class Replayed:
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
        self.replayed = Replayed()

    def steps(self) -> Iterator[Replayed]:
        """Replay, and yield after each batch what became of the lines so far."""
        while self.replayed.problem is None and (taken := self._spool.take(self._max_lines, _MAX_BYTES)) is not None:
            self._step(taken)
            yield self.replayed

    def _step(self, taken: Taken) -> None:
        written = self._write(taken.lines, others_fit=self._others_fit)
        self.replayed.stored += written.stored
        self._others_fit = self._others_fit or written.stored > 0
        if written.left:
            self._spool.rewind()
            self._stored_before += written.stored
            self._after_failure(written)
        elif self._kept(written.refused, taken):
            self._spool.acknowledge(taken)
            self._count(written, taken)
        else:
            self._spool.rewind()

    def _count(self, written: Written, taken: Taken) -> None:
        ours = min(written.duplicates, self._stored_before)
        self._stored_before -= ours
        self.replayed.duplicates += written.duplicates - ours
        self.replayed.rejected += len(written.refused) + len(taken.bad)
        self._max_lines, self._tries = min(self._max_lines * 2, _MAX_LINES), 0

    def _after_failure(self, written: Written) -> None:
        """Prepare another attempt, or end."""
        self._tries += 1
        if written.verdict is Verdict.SMALLER and self._max_lines > 1:
            self._max_lines //= 2
        elif written.verdict not in (Verdict.UNKNOWN, Verdict.RETRY) or self._tries > _MAX_TRIES:
            self._end(written.problem, written.verdict)

    def _kept(self, refused: list[Refusal], taken: Taken) -> bool:
        """Put to the rejects what can be no row, and tell whether both they and the table know of it."""
        are_kept = all(self._spool.reject(each.line, each.sqlstate, each.reason) for each in refused)
        if not (are_kept and all(self._spool.reject(bad.raw, None, bad.reason) for bad in taken.bad)):
            self._end(self._spool.problem, None)
            return False
        written = self._write(list(_gaps(refused)), others_fit=True)
        if written.left:
            self._end(written.problem, written.verdict)
        return not written.left

    def _end(self, problem: str | None, verdict: Verdict | None) -> None:
        self.replayed.problem, self.replayed.verdict = problem or "for an unknown reason", verdict


def _gaps(refused: Iterable[Refusal]) -> Iterator[str]:
    """Yield for each writer of *refused* the line that explains the gap in its numbers; it has none of its own."""
    ranges: defaultdict[str, NumberRanges] = defaultdict(NumberRanges)
    for each in refused:
        event = lines.parse(each.line)
        if "writer_id" in event and "writer_seq" in event:
            ranges[event["writer_id"]].add(event["writer_seq"], event["writer_seq"], 1)
    for writer_id, lost in ranges.items():
        metadata = {"reason": "rejected", "ranges": lost.ranges, "count": lost.count}
        head = {"id": str(uuid7()), "writer_id": writer_id, "occurred_at": time.time()}
        yield lines.render({**head, "action": f"{lines.OWN}gap", "outcome": "failure", "metadata": metadata})
