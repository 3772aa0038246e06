"""Real waitresses, which have a hook for SIGINT and none for SIGTERM, ended while they work."""

import signal
from contextlib import contextmanager

import pytest

from tests.faults.web import assert_answered_is_stored, assert_whole, serve
from tests.support import assert_exact

pytestmark = pytest.mark.faults
PATHS = ["/"] * 4


@contextmanager
def waitress(database, app="wsgi_app:app", **environ):
    """Run the application on four threads."""
    with serve(database, "waitress", "--listen=127.0.0.1:{port}", "--threads=4", app, **environ) as site:
        yield site


def test_row_19_ctrl_c_under_load(database):
    """SIGINT lets it finish, and run the exit hooks."""
    with waitress(database) as site, site.load(*PATHS):
        site.wait_for_answers()
        assert site.end(signal.SIGINT)[0] == 0
    assert_whole(database, site)


def test_row_19_sigterm_is_a_kill(database, tmp_path):
    """SIGTERM ends it past every hook; what was answered is in the journal, and the next process stores it."""
    spool = str(tmp_path / "spool")
    with waitress(database, SPOOL=spool) as site, site.load(*PATHS):
        site.wait_for_answers()
        assert site.end(signal.SIGTERM)[0] == -signal.SIGTERM
    with waitress(database, SPOOL=spool) as successor:
        successor.ask("/", ["the-next-one"])
        assert successor.end(signal.SIGINT)[0] == 0
    site.add(successor)
    assert_answered_is_stored(database, site)
    assert_exact(database, len(database.rows()))


def test_row_19_sigterm_that_exits(database):
    """With a handler that leaves Python by sys.exit, SIGTERM does what SIGINT does."""
    with waitress(database, "ends_by_sigterm:app", SIGTERM="exit") as site, site.load(*PATHS):
        site.wait_for_answers()
        assert site.end(signal.SIGTERM)[0] == 0
    assert_whole(database, site)


def test_row_19_sigterm_that_flushes(database):
    """After flush_on_sigterm() it dies of the signal all the same, but its rows are there."""
    with waitress(database, "ends_by_sigterm:app", SIGTERM="flush") as site, site.load(*PATHS):
        site.wait_for_answers()
        assert site.end(signal.SIGTERM)[0] == -signal.SIGTERM
    assert_whole(database, site)
