"""The caller: what a log call costs who makes it, on every Python asked for; the worst of them counts."""

import json
import subprocess
import tempfile
from pathlib import Path
from statistics import median

from .figures import Measured
from .scale import Scale, ratio
from .server import Server

_BURSTS = 30
"""In a round: all of them together do not fill the first file of the journal, which nobody reads here."""
_ROOT = Path(__file__).parents[2]


def measure(scale: Scale, _server: Server) -> dict[str, Measured]:
    """Measure the figures a, b and c."""
    return {letter: _worst(letter, scale) for letter in "abc" if scale.wants(letter)}


def _worst(letter: str, scale: Scale) -> Measured:
    measured = {name: _compare(_run(letter, python, scale)) for name, python in scale.pythons.items()}
    worst = max(measured.values(), key=lambda each: each.ratio)
    others = {f"on_{name}": each.ratio for name, each in measured.items() if len(measured) > 1}
    return Measured(worst.ratio, worst.parts | others)


def _run(letter: str, python: Path, scale: Scale) -> dict[str, list[float]]:
    """
    Return the microseconds of a call in each round.

    Each is measured by a program of its own: where a process has its code and its objects in memory makes up to a
    third of what it takes, and is another place the next time.
    """
    rounds = [_run_once(letter, python, _BURSTS // 2 if scale.quick else _BURSTS) for _ in range(scale.rounds)]
    return {name: [each[name] for each in rounds] for name in rounds[0]}


def _run_once(letter: str, python: Path, bursts: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as spool:
        command = [str(python), "-m", "tests.benchmarks.call_costs", letter, str(bursts), spool]
        # Ctrl-C in the terminal is for us, who then kill it.
        done = subprocess.run(command, cwd=_ROOT, stdout=subprocess.PIPE, check=True, start_new_session=True)
    numbers: dict[str, float] = json.loads(done.stdout)
    return numbers


def _compare(microseconds: dict[str, list[float]]) -> Measured:
    """Compare our overhead over the NullHandler with json.dumps, or with the overhead of the stock QueueHandler."""
    null = microseconds["null"]
    ours = _over(null, microseconds["ours"])
    if "dumps" in microseconds:
        name, theirs = "dumps_us", microseconds["dumps"]
    else:
        name, theirs = "stock_more_us", _over(null, microseconds["stock"])
    return Measured(ratio(ours, theirs), {"null_us": median(null), name: median(theirs), "ours_more_us": median(ours)})


def _over(floor: list[float], microseconds: list[float]) -> list[float]:
    return [one - other for one, other in zip(microseconds, floor, strict=True)]
