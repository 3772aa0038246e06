"""The account of a writer: what became of its lines."""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from . import diagnostics, lines
from .number_ranges import NumberRanges
from .written import Refusal, Written


class Account:
    """Count lines by what became of them, tell of each loss, and keep its numbers until a row says so."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._counts = Counter(dict.fromkeys(("stored", "duplicates", "spooled", "rejected", "unjournaled"), 0))
        self._lost: Counter[str] = Counter()
        self._untold: defaultdict[str, NumberRanges] = defaultdict(NumberRanges)
        self._last_stored: float | None = None
        self._last_error: str | None = None
        self._last_error_at: float | None = None

    @property
    def lost(self) -> int:
        """How many lines were lost so far."""
        with self._lock:
            return sum(self._lost.values())

    def count(self, name: str, number: int) -> None:
        """Add *number* to the counter *name*."""
        with self._lock:
            self._counts[name] += number

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
            self._last_stored = time.time()
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
        with self._lock:
            self._lost[reason] += count
        self._note(reason, numbers)

    def _lose(self, reason: str, first: int, last: int, count: int) -> None:
        with self._lock:
            self._lost[reason] += count
            self._untold[reason].add(first, last, count)

    def _note(self, reason: str, numbers: Iterable[int]) -> None:
        with self._lock:
            for seq in numbers:
                self._untold[reason].add(seq, seq, 1)

    def fail(self, problem: str) -> None:
        """Note the last error."""
        self._last_error, self._last_error_at = problem, time.time()

    def take_untold(self) -> list[tuple[str, NumberRanges]]:
        """Return the numbers of what was lost since the last call, by reason."""
        with self._lock:
            untold = list(self._untold.items())
            self._untold.clear()
        return untold

    def stats(self) -> dict[str, Any]:
        """Return the counters by name."""
        with self._lock:
            lost = {reason: count for reason, count in self._lost.items() if count}
        return {
            **self._counts,
            "lost": lost,
            "last_stored": self._last_stored,
            "last_error": self._last_error,
            "last_error_at": self._last_error_at,
        }
