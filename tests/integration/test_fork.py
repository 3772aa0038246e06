"""Processes that come from processes: each writes its own events, and nobody's twice."""

import logging
import os
import threading
import time
from collections import Counter

import pytest

from tests.support import assert_exact, configure, flush, log, run_program, sessions, writer_threads

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="only POSIX forks"),
    pytest.mark.filterwarnings("ignore:This process:DeprecationWarning"),
]
# From 3.12 on Python itself warns about a fork while threads run, which is what these tests are about.
PYTHON = ("-X", "dev", "-W", "error", "-W", "ignore:This process:DeprecationWarning")


def run(database, way, method="fork"):
    """Run the program, which must say nothing, and return how many rows each process made."""
    result = run_program("fork.py", database.writer, way, method, python=PYTHON)
    assert (result.returncode, result.stderr) == (0, "")
    assert_exact(database, len(rows := database.rows()))
    return Counter(row["message"] for row in rows)


def test_a_preloading_server_forks_before_the_first_record(database):
    """Configured in the parent, used in the child: the child opens its own queue, thread and connection."""
    assert run(database, "preload") == {"parent": 100, "child": 100}


def test_a_pair_by_hand_survives_a_fork_before_the_first_record(database):
    """In the child, too, the handler finds the listener that was built with its queue."""
    assert run(database, "preload pair") == {"parent": 100, "child": 100}


def test_children_of_children(database):
    """A grandchild writes its own events, too, and none of its ancestors'."""
    assert run(database, "nested") == {"parent": 200, "child": 100, "grandchild": 100}


def test_children_that_log_nothing_disturb_nobody(database, server):
    """Their end neither closes the parent's connection nor sends the parent's queue."""
    before = len(server._log.read_text())
    assert run(database, "idle children") == {"parent": 200}
    assert len(database.rows("SELECT DISTINCT writer_id FROM audit_log")) == 1
    assert "unexpected EOF" not in server._log.read_text()[before:]


def test_forks_while_threads_log(database):
    """However busy the parent is when it forks, no child hangs, and each process is exact."""
    counts = run(database, "busy")
    parent = counts.pop("parent")
    assert parent % 10 == 0
    assert counts == {f"child-{n}": 20 for n in range(15)}


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_row_22_multiprocessing_processes(database, method):
    """Process.join() waits for the child's events, however it was started."""
    assert run(database, "process", method) == {"parent": 200, **{f"child-{n}": 100 for n in range(3)}}


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("way", ["pool", "executor"])
def test_row_22_multiprocessing_pools(database, way, method):
    """The workers of a pool write what they logged before they end."""
    assert run(database, way, method) == {"parent": 200, **{f"task-{n}": 100 for n in range(6)}}


def test_children_of_one_moment_are_different_writers(database):
    """However close together processes fork, none draws the ids of another, which would pass for a replay."""
    logger = configure(database.writer)
    children = []
    for _ in range(16):
        pid = os.fork()
        if pid == 0:
            log(logger, 10)
            os._exit(logger.handlers[0].flush(60))
        children.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 16
    assert_exact(database, 160)
    assert len(database.rows("SELECT DISTINCT writer_id FROM audit_log")) == 16


def test_the_parents_connection_survives(database):
    """A forked child that ends, in whatever way, leaves the parent's session alone."""
    logger = configure(database.writer)
    log(logger, 10)
    flush(logger)
    (before,) = database.rows("SELECT pid FROM pg_stat_activity WHERE usename = 'pglog_writer'")
    pid = os.fork()
    if pid == 0:
        log(logger, 10)
        flush(logger)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    log(logger, 10)
    flush(logger)
    assert database.rows("SELECT pid FROM pg_stat_activity WHERE usename = 'pglog_writer'") == [before]
    assert_exact(database, 30)
    assert (writer_threads(), sessions(database)) == (1, 1)


def test_a_fork_in_the_middle_of_a_dictconfig_and_a_flush(database):
    """Locks that other threads held at the fork are no obstacle in the child."""
    logger = configure(database.writer)
    log(logger, 10)
    deadline = time.monotonic() + 5
    children = []
    stop = threading.Event()

    def churn():
        while not stop.is_set():
            configure(database.writer)
            log(logging.getLogger("audit"), 1, "churn.tick")

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        while len(children) < 15 and time.monotonic() < deadline:
            pid = os.fork()
            if pid == 0:
                try:
                    log(logging.getLogger("audit"), 5, "child.tick")
                    left = sum(handler.flush(20) for handler in logging.getLogger("audit").handlers)
                    os._exit(1 if left else 0)
                finally:
                    os._exit(2)
            children.append(pid)
            assert os.waitpid(pid, 0)[1] == 0
    finally:
        stop.set()
        thread.join()
    flush(logging.getLogger("audit"))
    rows = database.rows("SELECT action, count(*) FROM audit_log GROUP BY 1")
    assert {row["action"]: row["count"] for row in rows}["child.tick"] == 5 * len(children)
