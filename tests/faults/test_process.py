"""The process ends, is configured again and lives through a change of the clock while its writer works."""

import logging
import threading
import time
from logging.config import dictConfig
from pathlib import Path

import pytest

from tests.faults.conftest import away, backends, stopped
from tests.faults.exact import assert_accounted, settle
from tests.support import (
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


def test_row_20_exit_while_the_database_hangs(own_server, own_database):
    """A process ends when its time is up, however stuck the database is, and says what is lost in one line."""
    with start_program(PROGRAM, own_database.writer, "7") as process:
        assert process.stdout.readline() == "0\n"
        (backend,) = backends(own_database)
        with stopped(backend), stopped(own_server.pid):
            output, errors = process.communicate("go on\n", timeout=30)
    assert (process.returncode, output) == (0, "")
    (line,) = errors.splitlines()
    assert line.startswith("pglog_audit: 7 audit events lost at exit: ")
    # The batch may still be stored, if the session that got it wakes up.
    rows, ids = counts(own_database)
    assert 1 <= rows == ids <= 8


def test_row_20_exit_while_connections_are_refused(own_server, own_database):
    """A process whose database is gone ends in time too, and the line says why nothing was written."""
    with start_program(PROGRAM, own_database.writer, "7") as process:
        assert process.stdout.readline() == "0\n"
        own_server.stop("immediate")
        _, errors = process.communicate("go on\n", timeout=30)
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


def test_row_24_dictconfig_again_and_again_under_load(database, options, monkeypatch):
    """Threads that log lose nothing to somebody who configures logging all the time, and nothing is left over."""
    unheard = Unheard()
    monkeypatch.setattr(logging, "lastResort", unheard)
    logger = configure(database.writer, **options)
    log(logger, 1)
    flush(logger)
    assert (writer_threads(), sessions(database)) == (1, 1)
    load = threading.Thread(target=log_from_threads, args=(logger, 4, 5_000))
    load.start()
    while load.is_alive():
        dictConfig(config(database.writer, **options))
        dictConfig({"version": 1, "disable_existing_loggers": False, "root": {"level": "WARNING"}})
    load.join()
    # A closed handler lets its writer end; the next record starts it again.
    log(logger, 1)
    settle(logger)
    assert_accounted(database, 20_002 - unheard.count)
    assert unheard.count < 100
    assert stats(logger)["lost"] == {}
    wait_until(lambda: (writer_threads(), sessions(database)) == (1, 1))


@pytest.mark.parametrize("jump", [DAY, -DAY], ids=["forward", "back"])
def test_row_28_clock_jumps_a_day(database, options, monkeypatch, jump):
    """Batches go out and attempts are repeated as before when somebody sets the clock."""
    logger = configure(database.writer, **options)
    log(logger, 1)
    wait_until(lambda: stats(logger)["stored"] == 1)
    with away(database):
        log(logger, 10)
        wait_until(lambda: is_stuck(logger))
        _set_clock(monkeypatch, jump)
        log(logger, 10)
    wait_until(lambda: stats(logger)["stored"] == 21)
    log(logger, 10)
    wait_until(lambda: stats(logger)["stored"] == 31)
    assert_accounted(database, 31)
    jumped = "SELECT FROM audit_log WHERE message IS NOT NULL AND abs(extract(epoch FROM now() - occurred_at)) > 80000"
    assert len(database.rows(jumped)) == 20


def _set_clock(monkeypatch, jump):
    now, now_ns = time.time, time.time_ns
    monkeypatch.setattr(time, "time", lambda: now() + jump)
    monkeypatch.setattr(time, "time_ns", lambda: now_ns() + jump * 1_000_000_000)
