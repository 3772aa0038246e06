"""Real gunicorns of each worker class, stopped, reloaded and renewed while they work."""

import os
import re
import signal
from contextlib import contextmanager

import pytest

from tests.faults.web import (
    answering_writers,
    assert_answered_is_stored,
    assert_each_writer_ended,
    assert_whole,
    ended_writers,
    serve,
)
from tests.support import assert_exact

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="gunicorn runs where processes fork"),
]
WSGI = {"sync": [], "gthread": ["--threads", "4"]}
ASGI = {"uvicorn_worker.UvicornWorker": []}


@pytest.fixture(params=[*WSGI, *ASGI])
def worker(request):
    """Return the name of a class of workers."""
    return request.param


@pytest.fixture(params=[["--preload"], []], ids=["preload", "load"])
def preload(request):
    """Return the option with which the master imports the application, and logs, before it forks; or none."""
    return request.param


@contextmanager
def gunicorn(database, worker, *options, workers=2, **environ):
    """Run workers of one class."""
    bind = ["--bind", "127.0.0.1:{port}", "--workers", workers, "--worker-class", worker]
    options = ["--log-level", "error", *bind, *{**WSGI, **ASGI}[worker], *options]
    app = "wsgi_app" if worker in WSGI else "app"
    with serve(database, "gunicorn", *options, "logs_at_import:app", APP=app, **environ) as site:
        yield site


def wait_for_each_worker(database, site):
    """Wait for answers of both: one that still boots hears no signal, works on, and is killed in the end."""
    site.wait_until(lambda: answering_writers(database) == 2)
    site.wait_for_answers()


def test_row_19_sigterm_under_load(database, worker, preload):
    """No request that was answered before the server ended lacks its row, and each process says that it ends."""
    with gunicorn(database, worker, *preload) as site, site.load(*["/loop"] * 4):
        wait_for_each_worker(database, site)
        assert site.end(signal.SIGTERM) == (0, "")
    assert_whole(database, site)


def test_row_19_quick_shutdown_under_load(database):
    """SIGQUIT breaks off what is not answered, and no more: the workers run their exit hooks."""
    with gunicorn(database, "sync") as site, site.load(*["/loop"] * 4):
        wait_for_each_worker(database, site)
        assert site.end(signal.SIGQUIT)[0] == 0
    # A log call that it breaks off may have drawn a number.
    assert_answered_is_stored(database, site)
    assert_each_writer_ended(database)


def test_row_19_quick_shutdown_of_threads(database):
    """
    What a worker with threads has answered when SIGQUIT comes is stored by its exit hooks.

    Without load: gunicorn's handler of the signal takes a lock of the thread pool. If the interrupted code has it, as
    it has while it passes on a request, the worker hangs until gunicorn kills it after --graceful-timeout.
    """
    with gunicorn(database, "gthread") as site:
        with site.load(*["/loop"] * 4):
            wait_for_each_worker(database, site)
        assert site.end(signal.SIGQUIT)[0] == 0
    assert_whole(database, site)


@pytest.mark.parametrize("worker", ASGI)
def test_row_19_quick_shutdown_is_a_kill(database, worker, tmp_path):
    """UvicornWorker hears no SIGQUIT and is killed later; what it answered is in the journal, for the next one."""
    spool = str(tmp_path / "spool")
    with gunicorn(database, worker, "--graceful-timeout", 1, SPOOL=spool) as site, site.load(*["/loop"] * 2):
        wait_for_each_worker(database, site)
        assert site.end(signal.SIGQUIT)[0] == 0
    assert ended_writers(database) == 0
    with gunicorn(database, worker, SPOOL=spool) as successor:
        successor.ask("/loop", ["the-next-one"])
        assert successor.end(signal.SIGTERM) == (0, "")
    site.add(successor)
    assert_answered_is_stored(database, site)
    assert_exact(database, len(database.rows()))


def test_row_19_ctrl_c_under_load(database, worker):
    """In a terminal SIGINT comes to the workers too, which it ends before the master's SIGQUIT has to."""
    with gunicorn(database, worker) as site, site.load(*["/loop"] * 4):
        wait_for_each_worker(database, site)
        os.killpg(site.process.pid, signal.SIGINT)
        status, errors = site.end()
    assert status == 0
    # On a busy machine a worker hears both, and the later one breaks off its exit hooks, which tell what that costs.
    assert_answered_is_stored(
        database, site, lost=sum(map(int, re.findall(r"(\d+) audit events? lost at exit", errors)))
    )


def test_row_22_hup_under_load(database, worker, preload):
    """A worker that makes way for another writes what it has, and says that it ends; the master goes on."""
    with gunicorn(database, worker, *preload, workers=1) as site, site.load(*["/loop"] * 2):
        site.wait_for_answers()
        site.process.send_signal(signal.SIGHUP)
        site.wait_until(lambda: ended_writers(database) == 1)
        site.wait_for_answers()
        assert site.end(signal.SIGTERM) == (0, "")
    assert_whole(database, site)


def test_row_22_workers_of_twenty_requests(database, worker):
    """A worker that ends because it has answered enough has written that, and so does the next one."""
    options = ["--preload", "--max-requests", 20]
    with gunicorn(database, worker, *options) as site:
        with site.load(*["/loop"] * 2):
            site.wait_until(lambda: ended_writers(database) >= 3)
        assert site.end(signal.SIGTERM) == (0, "")
    assert_whole(database, site)


def test_what_the_master_logs_is_its_own(database, preload):
    """An event of the import has one row for each process that imports, and no forked child repeats it."""
    with gunicorn(database, "sync", *preload) as site:
        site.ask("/loop", ["only-one"])
        assert site.end(signal.SIGTERM) == (0, "")
    assert_answered_is_stored(database, site)
    assert len([row for row in database.rows() if row["action"] == "site.load"]) == (1 if preload else 2)
