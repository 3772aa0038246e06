"""The outage: with a spool and the database down, how long a log call takes at worst, and how much memory is needed."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from pglog_audit.options import WriterOptions

from .figures import Measured
from .scale import Scale, compare
from .server import Server

_CALLS, _EVENTS = 40_000, 1_000_000
_ROOT = Path(__file__).parents[2]


def measure(scale: Scale, server: Server) -> dict[str, Measured]:
    """Measure the figures g and h."""
    measurements = {"g": _latency, "h": _memory}
    return {letter: measured(scale, server) for letter, measured in measurements.items() if scale.wants(letter)}


def _latency(scale: Scale, server: Server) -> Measured:
    calls = max(10_000, scale.events(_CALLS))
    with server.database() as database:

        def up() -> float:
            server.postgres.start()
            return _run("calls", database.writer, calls)["p999_us"]

        def down() -> float:
            server.postgres.stop()
            return _run("calls", database.writer, calls)["p999_us"]

        ratio, without, with_database = compare(scale.rounds, down, up)
    return Measured(ratio, {"down_p999_us": without, "up_p999_us": with_database})


def _memory(scale: Scale, server: Server) -> Measured:
    with server.database() as database:
        server.postgres.stop()
        growth = _run("memory", database.writer, scale.events(_EVENTS))["growth_mb"]
    return Measured(growth - WriterOptions().max_bytes / 1e6, {"growth_mb": growth})


def _run(what: str, conninfo: str, count: int) -> dict[str, float]:
    """Return the numbers of a program of its own, whose spool is new."""
    with tempfile.TemporaryDirectory() as spool:
        command = [sys.executable, "-m", "tests.benchmarks.outage_calls", what, conninfo, spool, str(count)]
        done = subprocess.run(command, cwd=_ROOT, stdout=subprocess.PIPE, check=True, start_new_session=True)
    numbers: dict[str, float] = json.loads(done.stdout)
    return numbers
