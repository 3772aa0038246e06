"""The segments of ours that are full or sealed, each with its lock until it is replayed or needed no more."""

from collections import deque
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from .quota import SpoolQuota
from .segment import Segment

MAX_HELD = 32
"""Segments that wait for us to replay them; of more than these any process of the target may replay some."""


class ClosedSegments:
    """Hold closed segments, and tell the quota of those that go; not for two threads at once."""

    def __init__(self, quota: SpoolQuota) -> None:
        self._quota = quota
        self.recorded: deque[Segment] = deque()
        """Those that nothing of is to be replayed unless we die, the oldest first."""
        self._held: dict[Path, Segment] = {}
        """Those that are to be replayed."""

    def add(self, closed: Segment) -> None:
        """Hold *closed*, or remove it if it has no lines."""
        if not closed.has_lines:
            self._remove(closed)
        elif closed.is_wanted:
            self.hold(closed)
        else:
            self.recorded.append(closed)

    def _remove(self, closed: Segment) -> None:
        closed.remove()
        self._quota.used -= closed.size

    def hold(self, closed: Segment) -> None:
        """Hold *closed* until it is replayed."""
        self._held[closed.path] = closed
        if len(self._held) > MAX_HELD:
            self._held.pop(next(iter(self._held))).close()

    def hand_over(self, path: Path) -> Segment | None:
        """Return the segment *path* to who replays it; None if it is none that is held for that."""
        return self._held.pop(path, None)

    def forget(self, number: int) -> None:
        """
        Remove those that have no line after the recorded line *number*, unless they are to be replayed.

        :raises OSError: one cannot be removed; its lines will be replayed.
        """
        while self.recorded and self.recorded[0].last <= number and not self.recorded[0].is_wanted:
            self._remove(self.recorded.popleft())
        if self.recorded:
            self.recorded[0].forget(number)

    def close(self) -> None:
        """Let go of all, for whoever comes next."""
        for closed in chain(self.recorded, self._held.values()):
            closed.close()
        self.recorded.clear()
        self._held.clear()

    def __iter__(self) -> Iterator[Segment]:
        return chain(self.recorded, self._held.values())
