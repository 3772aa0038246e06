"""Real uvicorns, stopped, reloaded and ended by themselves while they work."""

import shutil
import signal
from contextlib import contextmanager

import pytest

from tests.faults.children import PROGRAMS
from tests.faults.web import assert_whole, ended_writers, serve
from tests.support import PROGRAMS as DJANGO
from tests.support import sessions, wait_until

pytestmark = pytest.mark.faults
PATHS = ["/loop", "/thread", "/loop", "/thread"]


@contextmanager
def uvicorn(database, *options, **environ):
    """Run the application."""
    with serve(database, "uvicorn", "app:app", "--port", "{port}", "--log-level", "error", *options, **environ) as site:
        yield site


@pytest.mark.parametrize("workers", [1, 2])
def test_row_19_sigterm_under_load(database, workers):
    """Each request that was answered before the server ended has its row, nobody has two, and each process says so."""
    with uvicorn(database, "--workers", workers) as site, site.load(*PATHS):
        site.wait_for_answers(200)
        status, errors = site.end(signal.SIGTERM)
    assert (status, errors) == (0 if workers > 1 else -signal.SIGTERM, "")
    assert_whole(database, site)
    wait_until(lambda: sessions(database) == 0)


def test_row_19_ctrl_c_under_load(database):
    """SIGINT ends it as SIGTERM does."""
    with uvicorn(database) as site, site.load(*PATHS):
        site.wait_for_answers()
        site.end(signal.SIGINT)
    assert_whole(database, site)


def test_the_last_of_its_requests(database):
    """A server that ends by itself after so many requests, where exit hooks run too, says once that it ends."""
    with uvicorn(database, "--limit-max-requests", 100) as site, site.load(*PATHS):
        assert site.end() == (0, "")
    assert len(site.answered) >= 100
    assert_whole(database, site)


def test_row_22_reload_under_load(database, tmp_path):
    """A process that makes way for changed code has written what it answered."""
    source = tmp_path / "app.py"
    shutil.copy(PROGRAMS / "app.py", source)
    with uvicorn(database, "--reload", cwd=tmp_path) as site, site.load(*PATHS[:2]):
        # Again and again: it may not have looked at the old file yet.
        site.wait_until(lambda: source.touch() or site.wait_for_answers(50) or ended_writers(database))
        site.wait_for_answers()
        site.end(signal.SIGTERM)
    assert_whole(database, site)


def test_row_19_django_has_no_lifespan(database):
    """The middleware around Django answers for it: no answered request lacks its row, under the id of its response."""
    command = ("uvicorn", "django_asgi:application", "--port", "{port}", "--log-level", "error")
    with serve(database, *command, cwd=DJANGO) as site, site.load("/seen", "/seen-async"):
        site.wait_for_answers(50)
        assert site.end(signal.SIGTERM) == (-signal.SIGTERM, "")
    assert_whole(database, site)
