"""The command: start a PostgreSQL, measure the figures asked for, tell and keep what came out."""

import argparse
import importlib
import json
import os
import platform
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from . import report
from .figures import FIGURES, Measured
from .scale import FULL, QUICK, Scale
from .server import Server

SUBJECTS = {
    "caller": "abc",
    "writer": "d",
    "trip": "ef",
    "outage": "gh",
    "volume": "ij",
    "replay": "k",
    "imports": "l",
}
"""Modules of this package, each with ``measure(scale, server)``, and the letters of what it measures."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what *arguments* ask for; return 0 if all is what it must be, 1 if not."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server is stopped and removed
    try:
        measured = _measure(options.only, QUICK if options.quick else FULL)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    print(report.table(measured))
    if options.json:
        options.json.write_text(json.dumps(report.as_json(measured, _machine()), indent=2) + "\n", "utf-8")
    missed = report.missed(measured)
    if missed:
        print(f"not what they must be: {', '.join(missed)}", file=sys.stderr)
    return 1 if missed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a rough answer, in under two minutes")
    parser.add_argument("--only", type=_letters, default=_letters(), metavar="a,d", help="measure these figures")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was measured there, too")
    return parser


def _letters(text: str = "") -> list[str]:
    known = [figure.letter for figure in FIGURES]
    letters = [letter.strip() for letter in text.split(",")] if text else known
    unknown = [letter for letter in letters if letter not in known]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"no such figure: {', '.join(map(repr, unknown))}; there are {known[0]} to {known[-1]}"
        )
    return letters


def _measure(letters: Sequence[str], scale: Scale) -> dict[str, Measured]:
    """Return what was measured of *letters*, while telling how it goes on stderr."""
    measured: dict[str, Measured] = {}
    with Server() as server:
        for name in _subjects(letters):
            begin = time.monotonic()
            print(f"{name} …", end=" ", flush=True, file=sys.stderr)
            measured |= importlib.import_module(f".{name}", __package__).measure(scale, server)
            print(f"{time.monotonic() - begin:.0f} s", file=sys.stderr)
    return {letter: measured[letter] for letter in letters}


def _subjects(letters: Sequence[str]) -> Iterator[str]:
    return (name for name, theirs in SUBJECTS.items() if set(theirs) & set(letters))


def _machine() -> dict[str, Any]:
    return {"python": platform.python_version(), "system": platform.platform(), "cores": os.cpu_count()}


if __name__ == "__main__":
    sys.exit(main())
