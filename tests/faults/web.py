"""Real web servers in processes of their own, clients that keep them busy, and what must come of it."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.conftest import Database
from tests.faults.children import PROGRAMS
from tests.support import LATEST, assert_exact, wait_until

_WRITERS = (
    "SELECT count(*) FILTER (WHERE action = 'page.view') AS views,"
    " count(*) FILTER (WHERE action = 'audit.stop') AS stops FROM audit_log GROUP BY writer_id"
)


class Site:
    """A server that runs, and the ids of the requests that its clients made."""

    def __init__(self, process: "subprocess.Popen[str]", port: int) -> None:
        self.process = process
        self.port = port
        self.asked: list[str] = []
        self.answered: list[str] = []

    def ask(self, path: str, request_ids: Iterable[str]) -> None:
        """Ask for *path* under each id, on one connection, as long as the server holds it."""
        client = HTTPConnection("127.0.0.1", self.port, timeout=LATEST)
        with closing(client), suppress(OSError, HTTPException):
            for request_id in request_ids:
                self.asked.append(request_id)
                client.request("GET", path, headers={"X-Request-ID": request_id})
                response = client.getresponse()
                if (response.status, response.read()) == (200, b"seen"):
                    self.answered.append(response.headers["X-Request-ID"])
                if response.will_close:
                    break

    @contextmanager
    def load(self, *paths: str) -> Iterator[None]:
        """Let a client for each of *paths* ask for it, again and again, until the block ends."""
        over = threading.Event()
        clients = [threading.Thread(target=self._ask_until, args=(over, n, path)) for n, path in enumerate(paths)]
        for client in clients:
            client.start()
        try:
            yield
        finally:
            over.set()
            for client in clients:
                client.join()

    def _ask_until(self, over: threading.Event, client: int, path: str) -> None:
        numbers = count()
        while not over.is_set():
            # On new connections too, so that each worker has its share.
            self.ask(path, (f"client-{client}-{next(numbers)}" for _ in range(20)))

    def add(self, other: "Site") -> None:
        """Count the requests of *other*, which has the same database, too."""
        self.asked += other.asked
        self.answered += other.answered

    def wait_until(self, condition: Callable[[], object]) -> None:
        """Wait for *condition*, unless the server has ended."""
        wait_until(lambda: condition() or self.process.poll() is not None)

    def wait_for_answers(self, number: int = 100) -> None:
        """Wait until that many more requests are answered."""
        goal = len(self.answered) + number
        self.wait_until(lambda: len(self.answered) >= goal)
        assert len(self.answered) >= goal

    def end(self, *signals: signal.Signals) -> tuple[int, str]:
        """Send *signals*, and return the exit status and the stderr of the server that has ended."""
        for number in signals:
            self.process.send_signal(number)
        errors = self.process.communicate(timeout=LATEST)[1]
        return self.process.returncode, errors


@contextmanager
def serve(database: Database, *command: object, cwd: Path = PROGRAMS, **environ: str) -> Iterator[Site]:
    """Run a module with arguments, which name the ``{port}``, and give the site once it takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    arguments = [str(part).format(port=port) for part in command]
    # gunicorn puts a socket into XDG_RUNTIME_DIR.
    with TemporaryDirectory() as home, _start(arguments, cwd, _environ(database, home, environ)) as process:
        try:
            site = Site(process, port)
            site.wait_until(lambda: _takes_connections(port))
            yield site
        finally:
            # Its workers too, also those that outlive it.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _start(arguments: list[str], cwd: Path, environ: dict[str, str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=cwd,
        env=environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _environ(database: Database, home: str, environ: dict[str, str]) -> dict[str, str]:
    return {**os.environ, "PGLOG_AUDIT_CONNINFO": database.writer, "XDG_RUNTIME_DIR": home, **environ}


def _takes_connections(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def answering_writers(database: Database) -> int:
    """Return how many processes have answered requests."""
    return sum(bool(writer["views"]) for writer in database.rows(_WRITERS))


def ended_writers(database: Database) -> int:
    """Return how many processes that answered requests have said that they end."""
    return sum(bool(writer["views"] and writer["stops"]) for writer in database.rows(_WRITERS))


def assert_answered_is_stored(database: Database, site: Site, lost: int = 0) -> None:
    """Check that each answered request has its row, except as many as *lost*, and none has two."""
    stored = [row["request_id"] for row in database.rows() if row["action"] == "page.view"]
    assert len(stored) == len(set(stored))
    assert set(stored) <= set(site.asked)
    assert len(set(site.answered) - set(stored)) <= lost


def assert_each_writer_ended(database: Database) -> None:
    """Check that each process has said once that it ends."""
    assert {writer["stops"] for writer in database.rows(_WRITERS)} == {1}


def assert_whole(database: Database, site: Site) -> None:
    """Check all of that, and that no writer's numbers have a gap."""
    assert_answered_is_stored(database, site)
    assert_each_writer_ended(database)
    assert_exact(database, len(database.rows()))
