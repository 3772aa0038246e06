"""A busy process forks without a pause: no child hangs at a lock that somebody held, and each is its own writer."""

import json
import os
from collections import Counter

import pytest

from tests.faults.children import PROGRAMS
from tests.faults.exact import assert_accounted
from tests.support import run_program

pytestmark = [pytest.mark.faults, pytest.mark.skipif(not hasattr(os, "fork"), reason="only POSIX forks")]
AT_A_TIME, EVENTS = 50, 5
"""Each child has a connection, and the server takes 100."""
# From 3.12 on Python itself warns about a fork while threads run.
PYTHON = ("-X", "dev", "-W", "error", "-W", "ignore:This process:DeprecationWarning")


@pytest.mark.parametrize(("options", "children"), [("default", 1_000), ("journal", 200)], indirect=["options"])
def test_row_21_fork_storm_while_busy(database, options, children):
    """Of all the children, fifty at a time, each ends well, and each event of each process is one row."""
    options = {**options, "write_timeout": 30, "connect_timeout": 30, "shutdown_timeout": 60}
    arguments = [json.dumps(options), *map(str, (children, AT_A_TIME, EVENTS))]
    done = run_program(str(PROGRAMS / "fork_storm.py"), database.writer, *arguments, timeout=300, python=PYTHON)
    assert (done.returncode, done.stderr) == (0, "")
    logged = Counter({"parent": int(done.stdout), **{str(number): EVENTS for number in range(children)}})
    assert_accounted(database, logged.total())
    assert Counter(row["message"] for row in database.rows()) == logged
    assert len(database.rows("SELECT DISTINCT writer_id FROM audit_log")) == children + 1
