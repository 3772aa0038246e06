"""What lies on disk is damaged, wanted by many, or more than memory holds: good lines are rows, once."""

import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.faults.children import child
from tests.faults.conftest import ON_DISK, QUICK
from tests.faults.spools import leave
from tests.support import configure, counts, handler_of, log, wait_until

pytestmark = pytest.mark.faults

LINES = 6
PROGRAM = "from pglog_audit.cli import main; main()"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.floats(0, 1), garbage=st.binary(max_size=40), after=st.integers(1, LINES))
def test_row_26_torn_garbage_truncated_and_empty_segments(database, cut, garbage, after):
    """Whatever happened to some segments of dead writers, all their good lines become rows, those of whole ones too."""
    before = {row["id"] for row in database.rows()}
    with tempfile.TemporaryDirectory() as directory:
        expected = {
            *truncated(directory, database.writer, cut),
            *littered(directory, database.writer, garbage, after),
            *emptied(directory, database.writer),
            *map(id_of, leave(directory, database.writer, LINES)[1]),
        }
        logger = configure(database.writer, spool=directory, **QUICK)
        log(logger, 1)
        wait_until(lambda: expected <= {str(row["id"]) for row in database.rows()})
        handler_of(logger).close()
    rows = [row for row in database.rows() if row["id"] not in before and row["message"] is None]
    assert sorted(str(row["id"]) for row in rows) == sorted(expected)


def id_of(line):
    """Return the id of the event in *line*."""
    return json.loads(line)["id"]


def truncated(directory, conninfo, cut):
    """Leave the first part of a segment; return the ids of the lines that are whole in it."""
    path, lines = leave(directory, conninfo, LINES)
    size = int(path.stat().st_size * cut)
    os.truncate(path, size)
    whole = path.read_bytes().split(b"\n")[1:]
    return [id_of(line) for line in lines if line.encode() in whole]


def littered(directory, conninfo, garbage, after):
    """Leave a segment with a line of *garbage* after some good ones; return the ids of these."""
    path, lines = leave(directory, conninfo, LINES)
    raw = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*raw[:after], b"\0", garbage, b"\n", *raw[after:]]))
    return map(id_of, lines)


def emptied(directory, conninfo):
    """Leave a segment without anything in it, of which no line can be expected."""
    path, _ = leave(directory, conninfo, LINES)
    os.truncate(path, 0)
    return []


@ON_DISK
def test_row_27_eight_writers_find_one_segment(database, options):
    """Of writers that start at one moment each line of a dead one is sent once."""
    leave(options["spool"], database.writer, 3_000)
    with ExitStack() as stack:
        options = {"conninfo": database.writer, **options, "batch_size": 100}
        writers = [stack.enter_context(child(options)) for _ in range(8)]
        for writer in writers:
            writer.tell("log 1")
        for writer in writers:
            writer.answer()
        wait_until(lambda: counts(database) == (3_008, 3_008))
        after = [writer.wait_until(lambda stats: stats["queued"] == 0) for writer in writers]
        for writer in writers:
            writer.end()
    assert sum(each["duplicates"] for each in after) == 0
    assert counts(database) == (3_008, 3_008)


def test_row_27_eight_commands_find_one_segment(database, tmp_path):
    """Of commands that run at one moment each line is sent once, and all that is left is told by none."""
    directory = str(tmp_path / "spool")
    leave(directory, database.writer, 3_000)
    command = [sys.executable, "-c", PROGRAM, "spool", "replay", directory, "--conninfo", database.writer]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(8)]
    outputs = [process.communicate(timeout=60) for process in running]
    assert counts(database) == (3_000, 3_000), outputs
    told = [out for out, _ in outputs if "3000 lines replayed: 3000 new rows" in out or "3,000" in out]
    assert len(told) == 1, outputs
    assert list(Path(directory).glob("*/*.spool")) == []


def test_row_29_backlog_larger_than_memory(database, tmp_path):
    """200 MB on disk are replayed in a fraction of that memory, and new events are rows long before that is done."""
    directory = str(tmp_path / "spool")
    leave(directory, database.writer, 10_000, size=20_000)
    assert sum(path.stat().st_size for path in Path(directory).rglob("*.spool")) > 200_000_000
    with child({"conninfo": database.writer, "spool": directory, "flush_interval": 0.01}) as process:
        for _ in range(5):
            process.ask("log 10")
            process.ask("flush")
        live = "SELECT FROM audit_log WHERE message IS NOT NULL AND NOT starts_with(action, 'audit.')"
        assert len(database.rows(live)) == 50
        assert counts(database)[0] < 10_000
        process.wait_until(lambda stats: stats["stored"] == 10_050)
        after = process.ask("memory")
        process.end()
    assert counts(database) == (10_050, 10_050)
    assert after["peak_memory"] < 200_000_000
