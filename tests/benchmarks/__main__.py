"""Measure how fast it is, on a PostgreSQL of its own. Exit status: 0 all figures are what they must be, 1 not."""

import argparse
import importlib
import json
import logging
import os
import platform
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pglog_audit.errors import AuditError

from . import picture, pythons, report
from .comparison import Cost, compare
from .figures import LETTERS, Measured
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


@dataclass
class Run:
    """What was measured so far."""

    measured: dict[str, Measured] = field(default_factory=dict)
    costs: dict[str, Cost] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what *arguments* ask for; return the exit status."""
    options = _options(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server is stopped and removed
    # What logs to a NullHandler, to measure the call, does so on purpose.
    logging.getLogger("pglog_audit").addFilter(lambda record: "reached no audit handler" not in record.msg)
    run = Run()
    try:
        with _pythons(options) as found, Server() as server:
            scale = replace(QUICK if options.quick else FULL, pythons=found, only=options.only)
            _measure(run, scale, server, with_peers=options.picture is not None)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except AuditError as error:
        print(f"python -m tests.benchmarks: {error}", file=sys.stderr)
        return 2
    finally:
        _tell(run, options)
    _publish(run, options)
    missed = report.missed(run.measured)
    if missed:
        print(f"not what they must be: {', '.join(missed)}", file=sys.stderr)
    return 1 if missed else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a rough answer, in under two minutes")
    parser.add_argument("--only", type=_letters, default=",".join(LETTERS), metavar="a,d", help="measure these figures")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write there all that was measured")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="measure the peers, and draw them as SVG there")
    parser.add_argument("--readme", type=Path, metavar="FILE", help="write the table into this README.md")
    parser.add_argument(
        "--python",
        type=Path,
        action="append",
        metavar="PATH",
        help="measure the caller on this Python, too, which has the extra 'bench'; by default, unless --quick is "
        "given, on all that are found, in virtual environments",
    )
    options = parser.parse_args(arguments)
    if options.readme and (options.quick or options.only != LETTERS):
        parser.error("--readme wants all figures, and no rough ones: leave out --quick and --only")
    return options


def _letters(text: str) -> str:
    letters = [letter.strip() for letter in text.split(",")]
    unknown = [letter for letter in letters if letter not in tuple(LETTERS)]
    if unknown:
        names = ", ".join(map(repr, unknown))
        raise argparse.ArgumentTypeError(f"no such figure: {names}; there are {LETTERS[0]} to {LETTERS[-1]}")
    return "".join(sorted(set(letters)))


def _pythons(options: argparse.Namespace) -> AbstractContextManager[Mapping[str, Path]]:
    if options.python or options.quick or not set(SUBJECTS["caller"]) & set(options.only):
        return nullcontext(pythons.given(options.python or []))
    return pythons.installed()


def _measure(run: Run, scale: Scale, server: Server, *, with_peers: bool) -> None:
    """Fill *run*, and tell on stderr how it goes."""
    run.machine = _machine(server)
    for name in _subjects(scale):
        with _told(name):
            subject = importlib.import_module(f".{name}", __package__)
            measured = subject.measure(scale, server)
        run.measured |= {letter: one for letter, one in measured.items() if scale.wants(letter)}
    if with_peers:
        with _told("peers"):
            run.costs = compare(scale, server)


@contextmanager
def _told(name: str) -> Iterator[None]:
    begin = time.monotonic()
    print(f"{name} …", end=" ", flush=True, file=sys.stderr)
    yield
    print(f"{time.monotonic() - begin:.0f} s", file=sys.stderr)


def _subjects(scale: Scale) -> Iterator[str]:
    return (name for name, letters in SUBJECTS.items() if any(map(scale.wants, letters)))


def _machine(server: Server) -> dict[str, Any]:
    return {
        "Python": platform.python_version(),
        "PostgreSQL": server.postgres.version,
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
    }


def _tell(run: Run, options: argparse.Namespace) -> None:
    """Print and write what was measured, were it only a part because a subject failed after hours."""
    if run.measured:
        print(report.table(run.measured))
        if options.quick:
            print("A rough answer, from fewer rounds and events than the figures name.")
    if run.costs:
        print(report.peers(run.costs))
    if options.json:
        told = {"quick": options.quick, **report.as_json(run.measured, run.costs, run.machine)}
        options.json.write_text(f"{json.dumps(told, indent=2, ensure_ascii=False)}\n", "utf-8")


def _publish(run: Run, options: argparse.Namespace) -> None:
    """Write what the README shows, where that was asked for."""
    if options.picture:
        options.picture.write_text(picture.draw(run.costs), "utf-8")
    if options.readme:
        report.replace_in(options.readme, report.markdown(run.measured, run.machine))


if __name__ == "__main__":
    sys.exit(main())
