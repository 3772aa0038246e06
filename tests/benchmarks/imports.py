"""Imports: how long they take a fresh interpreter, against those of what they stand on; the worse of the two counts."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from .figures import Measured
from .scale import Scale, compare
from .server import Server

_PAIRS = {
    "audit": ("from pglog_audit import audit", "import logging.handlers, json, uuid"),
    "handler": ("from pglog_audit import AuditHandler", "import psycopg, psycopg_pool"),
}
_ROUNDS = 4
"""Of these for one of the others': an import is over soon, and disturbed easily."""
_ROOT = Path(__file__).parents[2]


def measure(scale: Scale, _server: Server) -> dict[str, Measured]:
    """Measure the figure l."""
    with tempfile.TemporaryDirectory() as bytecode:
        ratios = {name: _compare(scale, bytecode, *statements) for name, statements in _PAIRS.items()}
    parts = {}
    for name, (_, ours, theirs) in ratios.items():
        parts |= {f"{name}_ms": ours, f"{name}_floor_ms": theirs}
    parts |= {f"{name}_ratio": ratio for name, (ratio, _, _) in ratios.items()}
    return {"l": Measured(max(ratio for ratio, _, _ in ratios.values()), parts)}


def _compare(scale: Scale, bytecode: str, ours: str, floor: str) -> tuple[float, float, float]:
    """Return the ratio, and the milliseconds of both, with all bytecode there: an installer leaves it so."""
    for statement in (ours, floor):
        _milliseconds(statement, bytecode)
    rounds = scale.rounds * _ROUNDS
    return compare(rounds, lambda: _milliseconds(ours, bytecode), lambda: _milliseconds(floor, bytecode))


def _milliseconds(statement: str, bytecode: str) -> float:
    program = f"import time; begin = time.perf_counter(); {statement}; print(time.perf_counter() - begin)"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=_ROOT,
        env=environment | {"PYTHONPYCACHEPREFIX": bytecode},
        stdout=subprocess.PIPE,
        check=True,
    )
    return float(done.stdout) * 1000
