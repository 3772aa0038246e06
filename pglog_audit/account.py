"""The account of a writer: what became of its lines."""

import threading
import time
from collections import Counter
from typing import Any

from . import diagnostics, lines
from .postgres_handler import Written


class Account:
    """Count lines by what became of them, and tell of each loss."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._stored = 0
        self._duplicates = 0
        self._lost: Counter[str] = Counter()
        self._last_stored: float | None = None

    @property
    def lost(self) -> int:
        """How many lines were lost so far."""
        return sum(self._lost.values())

    def add(self, written: Written, *, were_sent: bool) -> int:
        """
        Count what became of a batch, and return how many of its lines are settled.

        :param were_sent: whether its lines may be rows already; otherwise a duplicate is none of ours.
        """
        self._stored += written.stored
        if written.stored:
            self._last_stored = time.time()
        if were_sent:
            self._duplicates += written.duplicates
        elif written.duplicates:
            self.lose_many("conflict", written.duplicates)
            diagnostics.warn("conflict", "%d audit events lost: a unique index has such rows", written.duplicates)
        for line in written.refused:
            self.lose("refused", line, written.problem)
        return written.stored + written.duplicates + len(written.refused)

    def lose(self, reason: str, line: str, why: str | None = None) -> None:
        """Count *line* as lost for *reason*, and tell which one it is."""
        self.lose_many(reason, 1)
        diagnostics.warn(f"lost: {reason}", "Audit event lost (%s): %s", why or reason, lines.describe(line))

    def lose_many(self, reason: str, count: int) -> None:
        """Count *count* lines as lost for *reason*; the caller tells."""
        with self._lock:
            self._lost[reason] += count

    def stats(self) -> dict[str, Any]:
        """Return the counters by name."""
        return {
            "stored": self._stored,
            "duplicates": self._duplicates,
            "lost": {reason: count for reason, count in self._lost.items() if count},
            "last_stored": self._last_stored,
        }
