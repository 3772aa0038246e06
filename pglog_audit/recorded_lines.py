"""Which lines the journal has: two numbers for as many as came one after the other, and nothing in the lines."""

from collections import deque


class _Run:
    """Lines that came one after the other; the first ones may be forgotten."""

    __slots__ = ("first", "last", "shift")

    def __init__(self, seq: int, number: int) -> None:
        self.first = self.last = seq
        self.shift = seq - number


class RecordedLines:
    """Know lines by their number in the writer's sequence; one thread may forget while another one adds."""

    def __init__(self) -> None:
        self.current = _Run(0, 0)
        """The last run, which the next line may make longer."""
        self._runs = deque([self.current])

    def add(self, seq: int, number: int) -> None:
        """Note line *seq*, which goes when *number* lines are forgotten."""
        run = self.current
        if seq == run.last + 1 == number + run.shift:
            run.last = seq
        else:
            self.current = _Run(seq, number)
            self._runs.append(self.current)

    def forget(self, number: int) -> None:
        """Note that *number* lines are forgotten."""
        for run in list(self._runs):
            run.first = max(run.first, number + run.shift + 1)
        # The last one is added to.
        while len(self._runs) > 1 and self._runs[0].first > self._runs[0].last:
            self._runs.popleft()

    def __contains__(self, seq: int) -> bool:
        return any(run.first <= seq <= run.last for run in list(self._runs))
