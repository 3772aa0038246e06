"""Ranges of a writer's numbers, as a gap row tells them."""

_MAX_RANGES = 1000
"""From here on the last range is widened: a row is no place for more, and its count stays exact."""


class NumberRanges:
    """Collect numbers, which mostly come in order, as ranges."""

    def __init__(self) -> None:
        self.ranges: list[list[int]] = []
        """First and last number of each."""
        self.count = 0
        """How many events that are."""

    def add(self, first: int, last: int, count: int) -> None:
        """Add *count* events with numbers from *first* to *last*."""
        self.count += count
        end = self.ranges[-1] if self.ranges else None
        if end is not None and (end[0] <= first <= end[1] + 1 or len(self.ranges) >= _MAX_RANGES):
            end[0], end[1] = min(end[0], first), max(end[1], last)
        else:
            self.ranges.append([first, last])
