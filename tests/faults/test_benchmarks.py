"""The benchmark's command works; what it measures is nobody's test."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.peers import RECORDERS
from tests.benchmarks.server import Database

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.faults


@pytest.mark.parametrize("letter", ["a", "e"])
def test_a_short_run(letter, tmp_path):
    """One figure is measured, printed and written, and the exit status says whether it is what it must be."""
    command = [sys.executable, "-m", "tests.benchmarks", "--quick", "--only", letter, "--json", tmp_path / "run.json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    told = json.loads((tmp_path / "run.json").read_text("utf-8"))
    [figure] = told["figures"]
    assert figure["letter"] == letter
    assert figure["measured"] > 0
    assert done.stdout.splitlines()[1].startswith(f"{letter}  {figure['title']}")
    assert done.returncode == (1 if figure["kept"] == "none" else 0), done.stderr


@pytest.mark.parametrize("name", RECORDERS)
def test_every_peer_makes_a_row_of_each_call(name, database):
    """Nobody is fast because it writes less: after ``finish`` all are rows, with what was logged."""
    with RECORDERS[name](Database(database.name, database.owner, database.writer)) as recorder:
        recorder.log(30)
        recorder.finish()
        table = "audit_records" if name == "auditchain" else "audit_log"
        rows = database.rows(f"SELECT * FROM {table} WHERE action = 'branding.update'")
    assert len(rows) == 30
    assert all("48213" in str(row) and "branding" in str(row) for row in rows)
