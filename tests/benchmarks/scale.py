"""How much is measured, and how: in turns, because two numbers of different minutes cannot be compared."""

import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

_QUICK_SHARE = 20
_FEWEST = 1000


@dataclass(frozen=True)
class Scale:
    """How many *rounds* a figure is measured in, whether a rough answer will do, and on which Pythons, by version."""

    rounds: int
    quick: bool
    pythons: Mapping[str, Path] = field(default_factory=lambda: {platform.python_version(): Path(sys.executable)})

    def events(self, full: int) -> int:
        """Return how many events are enough: *full*, or a part of them for a rough answer."""
        return min(full, max(_FEWEST, full // _QUICK_SHARE)) if self.quick else full


FULL = Scale(rounds=7, quick=False)
QUICK = Scale(rounds=3, quick=True)


def in_turns(rounds: int, measurements: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Take every measurement once a round, in the opposite order every other round, and return the numbers by name."""
    numbers: dict[str, list[float]] = {name: [] for name in measurements}
    for n in range(rounds):
        for name in measurements if n % 2 == 0 else reversed(measurements):
            numbers[name].append(measurements[name]())
    return numbers


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median of the rounds' ratios."""
    return median(one / other for one, other in zip(ours, theirs, strict=True))


def compare(rounds: int, ours: Callable[[], float], theirs: Callable[[], float]) -> tuple[float, float, float]:
    """Measure both in turns; return the median of the rounds' ratios, and the medians of *ours* and *theirs*."""
    numbers = in_turns(rounds, {"ours": ours, "theirs": theirs})
    return ratio(numbers["ours"], numbers["theirs"]), median(numbers["ours"]), median(numbers["theirs"])
