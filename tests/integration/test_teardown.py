"""Events that are logged when the interpreter ends: after our own exit hook, and when modules go already."""

import gc
import logging

import pytest

from pglog_audit import AuditHandler
from tests.support import assert_exact, flush, log, run_program, sessions, wait_until, writer_threads


@pytest.mark.parametrize("arguments", [(), ("before",)])
def test_an_event_of_the_teardown_is_a_row_or_told(database, arguments):
    """The program ends, and an event that found no thread and no modules any more is told to be lost."""
    ended = run_program("teardown.py", database.writer, *arguments)
    assert ended.returncode == 0
    actions = [row["action"] for row in database.rows()]
    assert ("session.open" in actions) == bool(arguments)
    assert ("session.close" in actions) != ("1 audit event lost at exit" in ended.stderr)


def test_a_first_event_in_an_exit_hook_is_a_row(database):
    """It starts the writer when exit hooks run already, and none of ours follows."""
    ended = run_program("teardown.py", database.writer, "hook")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert [row["action"] for row in database.rows()] == ["server.stop"]


def test_a_first_event_in_an_exit_hook_without_database_is_told(database):
    """Nobody comes later who could write it or say that it is lost."""
    ended = run_program("teardown.py", "host=/nowhere", "hook")
    assert ended.returncode == 0
    assert ended.stderr.startswith("pglog_audit: 1 audit event lost at exit: cannot connect to host=/nowhere")
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("is_idle", [False, True], ids=["busy", "idle"])
def test_a_handler_that_is_dropped_without_close_lets_its_writer_end(database, is_idle):
    """Whoever takes a handler off its logger and forgets it leaves neither a thread nor a connection, and no event."""
    logger = logging.getLogger("audit")
    logger.setLevel(logging.INFO)
    for _ in range(3):
        logger.addHandler(AuditHandler(database.writer, flush_interval=0.05))
        log(logger, 5)
        if is_idle:
            flush(logger)
            assert (writer_threads(), sessions(database)) == (1, 1)
        logger.handlers.clear()
        gc.collect()
        wait_until(lambda: (writer_threads(), sessions(database)) == (0, 0))
    assert_exact(database, 15)
