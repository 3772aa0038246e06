"""The account of a writer, and that of its process: what became of their lines."""

import os
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from . import diagnostics, lines
from .number_ranges import NumberRanges
from .written import Refusal, Written

_NAMES = ("stored", "duplicates", "spooled", "rejected", "unjournaled", "restarts")


class Counters:
    """Numbers that only grow, and what was last."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._counts = dict.fromkeys(_NAMES, 0)
        # No Counter: a signal handler that loses a line may come in between its look and its first number.
        self._lost: defaultdict[str, int] = defaultdict(int)
        self._last: dict[str, Any] = dict.fromkeys(("last_stored", "last_error", "last_error_at"))

    def count(self, name: str, number: int) -> None:
        """Add *number* to the counter *name*."""
        with self._lock:
            self._counts[name] += number

    def lose(self, reason: str, number: int) -> None:
        """Add *number* to what was lost for *reason*."""
        with self._lock:
            self._lost[reason] += number

    def note(self, **last: Any) -> None:
        """Replace what was last."""
        with self._lock:
            self._last.update(last)

    def stats(self) -> dict[str, Any]:
        """Return the numbers by name."""
        with self._lock:
            return {**self._counts, "lost": dict(self._lost), **self._last}


_of_processes: dict[int, Counters] = {}
"""By process id: a forked child has its parent's, too, and no use for them."""


def of_process() -> Counters:
    """Return the counters of all writers of this process, also of those that are gone."""
    # No lock, which might come through a fork closed, and no fork hook, which does not run where a server forks in C.
    return _of_processes.setdefault(os.getpid(), Counters())


class Account:
    """Count lines by what became of them, tell of each loss, and keep its numbers until a row says so."""

    def __init__(self) -> None:
        self._own = Counters()
        self._counters = self._own, of_process()
        self._lock = threading.RLock()
        self._untold: defaultdict[str, NumberRanges] = defaultdict(NumberRanges)

    @property
    def lost(self) -> int:
        """How many lines were lost so far."""
        return sum(self.stats()["lost"].values())

    def count(self, name: str, number: int) -> None:
        """Add *number* to the counter *name*."""
        for counters in self._counters:
            counters.count(name, number)

    def tell(self, written: Written, *, were_sent: bool) -> None:
        """Tell what became of a batch besides rows; the arguments are those of :meth:`add`."""
        if written.duplicates and not were_sent:
            diagnostics.warn("conflict", "%d audit events lost: a unique index has such rows", written.duplicates)

    def add(self, written: Written, batch: Sequence[str], *, were_sent: bool) -> None:
        """
        Count the rows of *batch*; the caller tells.

        :param were_sent: whether its lines may be rows already; otherwise a duplicate is none of ours.
        """
        self.count("stored", written.stored)
        if written.stored:
            self._note_last(last_stored=time.time())
        if written.duplicates and not were_sent:
            # Which of them: only the server knows.
            self._lose("conflict", min(map(lines.seq, batch)), max(map(lines.seq, batch)), written.duplicates)
        else:
            self.count("duplicates", written.duplicates)

    def reject(self, refusal: Refusal, *, is_kept: bool) -> None:
        """Count a line that the table refuses, and tell which one; *is_kept* says whether the rejects have it."""
        if not is_kept:
            self.lose("refused", [refusal.line], refusal.reason)
            return
        self._note("rejected", [lines.seq(refusal.line)])
        self.note_rejects([refusal])

    def note_rejects(self, refused: Sequence[Refusal]) -> None:
        """Count lines that the rejects have and a row explains, and tell which one the first of them is."""
        self.count("rejected", len(refused))
        if refused:
            reason, which = refused[0].reason, lines.describe(refused[0].line)
            diagnostics.warn("rejected", "Audit event rejected (%s), and kept in the spool: %s", reason, which)

    def lose(self, reason: str, lost: Sequence[str], why: str | None = None) -> None:
        """Count the lines *lost* for *reason*, and tell which one the first of them is."""
        if not lost:
            return
        self.note(reason, lost)
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        diagnostics.warn(f"lost: {reason}", "Audit event lost (%s): %s%s", why or reason, lines.describe(lost[0]), more)

    def note(self, reason: str, lost: Sequence[str]) -> None:
        """Count the lines *lost* for *reason*; the caller tells."""
        self.lose_unseen(reason, len(lost), map(lines.seq, lost))

    def lose_unseen(self, reason: str, count: int, numbers: Iterable[int] = ()) -> None:
        """Count *count* lines as lost that nobody has; a row tells of those *numbers*."""
        if count:
            self._count_lost(reason, count)
        self._note(reason, numbers)

    def _lose(self, reason: str, first: int, last: int, count: int) -> None:
        self._count_lost(reason, count)
        with self._lock:
            self._untold[reason].add(first, last, count)

    def _count_lost(self, reason: str, count: int) -> None:
        for counters in self._counters:
            counters.lose(reason, count)

    def _note(self, reason: str, numbers: Iterable[int]) -> None:
        with self._lock:
            for seq in numbers:
                self._untold[reason].add(seq, seq, 1)

    def fail(self, problem: str) -> None:
        """Note the last error."""
        self._note_last(last_error=problem, last_error_at=time.time())

    def _note_last(self, **last: Any) -> None:
        for counters in self._counters:
            counters.note(**last)

    def take_untold(self) -> list[tuple[str, NumberRanges]]:
        """Return the numbers of what was lost since the last call, by reason."""
        with self._lock:
            untold = list(self._untold.items())
            self._untold.clear()
        return untold

    def stats(self) -> dict[str, Any]:
        """Return the counters by name."""
        return self._own.stats()
