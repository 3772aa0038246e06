"""Something comes in the middle of a log call or of the writer's work: nothing hangs, and no event is forgotten."""

import ctypes
import gc
import json
import sys
import threading

import pytest

from pglog_audit import writer_thread
from tests.faults.children import PROGRAMS
from tests.faults.exact import assert_accounted, read_trail, settle
from tests.support import configure, log, run_program, stats, wait_until, writer_threads

pytestmark = pytest.mark.faults


def test_row_23_signal_handlers_and_finalizers_that_audit(database, options):
    """Log calls inside log calls of the same thread end, and each makes its row."""
    options = {**options, "block_timeout": None, "shutdown_timeout": 30}
    done = run_program(str(PROGRAMS / "storm.py"), database.writer, json.dumps(options), "1500")
    assert done.returncode == 0, done.stderr
    logged = json.loads(done.stdout)
    assert min(logged.values()) > 10
    assert_accounted(database, sum(logged.values()))


class InjectedError(Exception):
    """What somebody throws into a thread of ours."""


class InjectedExit(BaseException):
    """The same, and nothing that catches Exception catches it."""


def throw_into_writer(error):
    """Raise *error* in the writer's thread, as soon as it runs."""
    (thread,) = [thread for thread in threading.enumerate() if thread.name == writer_thread.NAME]
    assert ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(error)) == 1


def test_row_25_exception_between_batches(database, options):
    """A writer that is hit as it waits says how often and goes on; at most the line that woke it is lost."""
    logger = configure(database.writer, **options)
    for expected in range(1, 6):
        log(logger, 10)
        settle(logger)
        throw_into_writer(InjectedExit)
        log(logger, 1)
        wait_until(lambda expected=expected: stats(logger)["restarts"] >= expected)
    log(logger, 1)
    settle(logger)
    assert_counted(database, logger, 56)


# Of psycopg's generators, which do not expect it either.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("error", [InjectedError, InjectedExit])
def test_row_25_exception_in_the_middle(database, options, error, monkeypatch):
    """Wherever the writer is hit, it goes on; what fell from its hands is counted, and nothing is stored twice."""
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)  # a hit may land in a finalizer, or in that hook
    logger = configure(database.writer, batch_size=20, **options)
    for _ in range(30):
        log(logger, 100)
        throw_into_writer(error)
    log(logger, 100)
    settle(logger)
    assert_counted(database, logger, 3_100)
    # What was hit before anybody held it, a connection or a generator, is found here, not in another test.
    logger.handlers.pop().close()
    wait_until(lambda: writer_threads() == 0)
    gc.collect()


def assert_counted(database, logger, expected):
    """Check that each of *expected* events is a row or counted as lost, and none of these numbers twice."""
    wait_until(lambda: stats(logger)["problem"] is None)
    lost, trail = stats(logger)["lost"], read_trail(database)
    assert trail.rows == trail.ids
    assert set(lost) <= {"writer"}
    # One that was stored in the moment of the hit may count as lost.
    assert trail.rows <= expected <= trail.rows + sum(lost.values())
    assert sum(map(len, trail.wrong.values())) + trail.explained.total() >= expected - trail.rows
