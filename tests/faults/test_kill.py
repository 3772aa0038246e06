"""The process is killed at any step of an event's way: what was promised for its mode is there afterwards."""

import json
import signal
import subprocess
import sys
from contextlib import ExitStack

import pytest

from tests.faults.children import PROGRAMS
from tests.faults.conftest import ON_DISK, away
from tests.faults.exact import assert_accounted, read_trail, settle
from tests.support import configure, log

pytestmark = pytest.mark.faults

COUNT = 40


def run_to_its_death(options, step, turn, *, when_spooled=lambda: None):
    """Run the program until it is killed, and return how many of its calls returned."""
    command = [sys.executable, str(PROGRAMS / "die_at.py"), json.dumps(options), step, str(turn), str(COUNT)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        returned = 0
        for line in process.stdout:
            returned += line.strip().isdigit()
            if line == "spooled\n":
                when_spooled()
        _, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, errors
    return returned


def rescue(database, options):
    """Start another writer, which logs one event and stores what it finds on disk."""
    logger = configure(database.writer, **options)
    log(logger, 1)
    settle(logger)


@pytest.fixture
def quick(database, options):
    """Return options of small batches, in the child's words."""
    return {"conninfo": database.writer, **options, "batch_size": 5}


@pytest.mark.parametrize("options", ["journal"], indirect=True)
@pytest.mark.parametrize("turn", [1, 7])
@pytest.mark.parametrize(
    "step",
    ["before record", "after record", "after put", "before insert", "after insert", "before forget", "after forget"],
)
def test_row_18_killed_with_a_journal(database, options, quick, step, turn):
    """Each event whose call returned is one row, and at most one more is."""
    returned = run_to_its_death(quick, step, turn)
    rescue(database, options)
    assert_accounted(database, returned + 1, killed=1)
    logged = {row["metadata"]["n"] for row in database.rows() if row["writer_seq"] > 1 or row["metadata"]["n"]}
    assert logged >= set(range(1, returned))


@pytest.mark.parametrize("options", ["default", "spool"], indirect=True)
@pytest.mark.parametrize("step", ["after put", "before insert", "after insert"])
def test_row_18_killed_without_a_journal(database, options, quick, step):
    """The first events are rows, once each; those that were in memory at the end are not."""
    returned = run_to_its_death(quick, step, 3)
    rescue(database, options)
    trail = read_trail(database)
    assert trail.wrong == {}
    assert trail.rows == trail.ids
    # The first batch and the row about the start are stored, the second batch is under way.
    assert (0 if step == "after put" else 5) + 1 <= trail.rows <= returned + 2


@pytest.mark.parametrize(
    ("options", "step"),
    [
        ("spool", "before insert"),
        ("spool", "before append"),
        ("spool", "after append"),
        ("journal", "before insert"),
        ("journal", "before keep"),
        ("journal", "after keep"),
    ],
    indirect=["options"],
)
@pytest.mark.parametrize("turn", [1, 2])
def test_row_18_killed_while_the_database_is_away(database, options, quick, step, turn):
    """What is on disk by then comes back, each event once, whenever the writer is killed in its attempts."""
    with away(database):
        returned = run_to_its_death({**quick, "capacity": 10}, step, turn)
    rescue(database, options)
    trail = read_trail(database)
    assert (trail.wrong, trail.rows) == ({}, trail.ids)
    if options["journal"]:
        assert_accounted(database, returned + 1, killed=1)


@ON_DISK
@pytest.mark.parametrize(
    "step",
    ["before acknowledge", "after acknowledge", "before remove", "after remove"],
)
def test_row_18_killed_while_replaying(database, options, quick, step):
    """Lines that became rows, in a segment that is still there, make no second ones; the others come back."""
    with ExitStack() as outage:
        outage.enter_context(away(database))
        returned = run_to_its_death({**quick, "batch_size": COUNT}, step, 1, when_spooled=outage.close)
    rescue(database, options)
    trail = read_trail(database)
    assert (trail.wrong, trail.rows) == ({}, trail.ids)
    if options["journal"]:
        assert_accounted(database, returned + 1)
    else:
        assert trail.rows >= COUNT
