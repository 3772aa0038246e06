"""How much is measured, and how: in turns, because two numbers of different minutes cannot be compared."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from .figures import LETTERS

_QUICK_SHARE = 20
_FEWEST = 1000


@dataclass(frozen=True)
class Scale:
    """How much is measured: in how many rounds, whether a rough answer will do, and what of all."""

    rounds: int
    quick: bool
    pythons: Mapping[str, Path] = field(default_factory=dict)
    """The interpreters on which the caller is measured, by version."""
    only: str = LETTERS
    """The figures that are asked for."""

    def wants(self, letter: str) -> bool:
        """Tell whether the figure of that *letter* is asked for."""
        return letter in self.only

    def events(self, full: int) -> int:
        """Return how many events are enough: *full*, or a part of them for a rough answer."""
        return min(full, max(_FEWEST, full // _QUICK_SHARE)) if self.quick else full


FULL = Scale(rounds=7, quick=False)
QUICK = Scale(rounds=3, quick=True)


def in_turns(rounds: int, measurements: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Take every measurement once a round, in the opposite order every other round, and return the numbers by name."""
    numbers: dict[str, list[float]] = {name: [] for name in measurements}
    for n in range(rounds):
        for name in list(measurements)[:: -1 if n % 2 else 1]:
            numbers[name].append(measurements[name]())
    return numbers


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median of the rounds' ratios."""
    return median(one / other for one, other in zip(ours, theirs, strict=True))


def compare(rounds: int, ours: Callable[[], float], theirs: Callable[[], float]) -> tuple[float, float, float]:
    """Measure both in turns; return the median of the rounds' ratios, and the medians of *ours* and *theirs*."""
    numbers = in_turns(rounds, {"ours": ours, "theirs": theirs})
    return ratio(numbers["ours"], numbers["theirs"]), median(numbers["ours"]), median(numbers["theirs"])
