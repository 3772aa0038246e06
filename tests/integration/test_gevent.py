"""Under gevent, patched in time or not, greenlets log and rows appear."""

import signal

import pytest

from tests.support import assert_exact, run_program


@pytest.mark.parametrize("patched", ["first", "late"])
def test_greenlets(database, patched) -> None:
    """No greenlet waits for the writer for ever; a patch that comes too late is told, and costs no event."""
    done = run_program("gevent_app.py", database.writer, patched, python=())
    assert (done.returncode, done.stdout) == (0, "gevent.hub\n"), done.stderr
    assert_exact(database, 50)
    assert ("gevent has patched threads after the audit handler was made" in done.stderr) == (patched == "late")
    assert ("call gevent.monkey.patch_all() before anything else is imported" in done.stderr) == (patched == "late")


@pytest.mark.parametrize("patched", ["first", "late"])
def test_sigterm_under_gevent_loses_nothing(database, patched) -> None:
    """With the helper the queue is written before the signal ends the process, by a writer that may be a greenlet."""
    done = run_program("gevent_app.py", database.writer, patched, "terminated", python=())
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, ""), done.stderr
    assert_exact(database, 50)
