"""The process ends, is configured again and lives through a change of the clock while its writer works."""

import logging
import threading
import time
from logging.config import dictConfig
from pathlib import Path

import pytest

from tests.faults.conftest import QUICK, backends, stopped
from tests.support import (
    assert_exact,
    config,
    configure,
    counts,
    flush,
    is_stuck,
    log,
    log_from_threads,
    sessions,
    start_program,
    stats,
    wait_until,
    writer_threads,
)

pytestmark = pytest.mark.faults
PROGRAM = str(Path(__file__).parent / "programs" / "log_and_end.py")
DAY = 86_400


def test_exit_while_the_database_hangs(server, database):
    """A process ends when its time is up, however stuck the database is, and says what is lost in one line."""
    with start_program(PROGRAM, database.writer, "7") as process:
        assert process.stdout.readline() == "0\n"
        (backend,) = backends(database)
        with stopped(backend), stopped(server.pid):
            # Five times shutdown_timeout and the second on top.
            output, errors = process.communicate("go on\n", timeout=10)
    assert (process.returncode, output) == (0, "")
    (line,) = errors.splitlines()
    assert line.startswith("pglog_audit: 7 audit events lost at exit: ")
    # The batch may still be stored, if the session that got it wakes up.
    rows, ids = counts(database)
    assert 1 <= rows == ids <= 8


def test_exit_while_connections_are_refused(server, database):
    """A process whose database is gone ends in time too, and the line says why nothing was written."""
    with start_program(PROGRAM, database.writer, "7") as process:
        assert process.stdout.readline() == "0\n"
        server.stop("immediate")
        _, errors = process.communicate("go on\n", timeout=10)
    assert process.returncode == 0
    (line,) = [line for line in errors.splitlines() if "lost at exit" in line]
    assert line.startswith("pglog_audit: 7 audit events lost at exit: ")
    assert "cannot connect" in line


class Unheard(logging.Handler):
    """Count the records that found no handler, in the moment in which dictConfig has taken the old one away."""

    count = 0

    def emit(self, record):
        """Count it."""
        self.count += 1


def test_dictconfig_again_and_again_under_load(database, monkeypatch):
    """Threads that log lose nothing to somebody who configures logging all the time, and nothing is left over."""
    unheard = Unheard()
    monkeypatch.setattr(logging, "lastResort", unheard)
    logger = configure(database.writer, **QUICK)
    log(logger, 1)
    flush(logger)
    assert (writer_threads(), sessions(database)) == (1, 1)
    load = threading.Thread(target=log_from_threads, args=(logger, 4, 5_000))
    load.start()
    while load.is_alive():
        dictConfig(config(database.writer, **QUICK))
        dictConfig({"version": 1, "disable_existing_loggers": False, "root": {"level": "WARNING"}})
    load.join()
    # A closed handler lets its writer end; the next record starts it again.
    log(logger, 1)
    flush(logger)
    assert_exact(database, 20_002 - unheard.count)
    assert unheard.count < 100
    assert stats(logger)["lost"] == {}
    wait_until(lambda: (writer_threads(), sessions(database)) == (1, 1))


@pytest.mark.parametrize("jump", [DAY, -DAY], ids=["forward", "back"])
def test_clock_jumps_a_day(server, database, monkeypatch, jump):
    """Batches go out and attempts are repeated as before when somebody sets the clock."""
    logger = configure(database.writer, **QUICK)
    log(logger, 1)
    wait_until(lambda: stats(logger)["stored"] == 1)
    server.stop()
    log(logger, 10)
    wait_until(lambda: is_stuck(logger))
    _set_clock(monkeypatch, jump)
    log(logger, 10)
    server.start()
    wait_until(lambda: stats(logger)["stored"] == 21)
    log(logger, 10)
    wait_until(lambda: stats(logger)["stored"] == 31)
    assert_exact(database, 31)
    (row,) = database.rows("SELECT count(*) FROM audit_log WHERE abs(extract(epoch FROM now() - occurred_at)) > 80000")
    assert row["count"] == 20


def _set_clock(monkeypatch, jump):
    now, now_ns = time.time, time.time_ns
    monkeypatch.setattr(time, "time", lambda: now() + jump)
    monkeypatch.setattr(time, "time_ns", lambda: now_ns() + jump * 1_000_000_000)
