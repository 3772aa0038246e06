"""A real web server that is stopped while it works."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPException

import pytest

from tests.support import PROGRAMS, assert_exact, sessions, wait_until


@contextmanager
def uvicorn(database, *options) -> Iterator[tuple[subprocess.Popen, int]]:
    """Run the application, and give its process and port once it answers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "app:app", "--app-dir", PROGRAMS, "--port", port, *options]
    environ = {**os.environ, "PGLOG_AUDIT_CONNINFO": database.writer}
    with subprocess.Popen([*map(str, command), "--log-level", "error"], env=environ, stderr=subprocess.PIPE) as process:
        try:
            wait_until(lambda: ask(port, "/", []) or process.poll() is not None)
            yield process, port
        finally:
            process.kill()


def ask(port, path, answered, times=1):
    """Ask for *path* some times, note the ids of the requests that were answered, and tell whether all were."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        try:
            for _ in range(times):
                connection.request("GET", path)
                response = connection.getresponse()
                response.read()
                answered.append(response.headers["x-request-id"])
        except (OSError, HTTPException):
            return False
        return True


def ask_until_it_ends(port, path, answered):
    """Ask again and again, on new connections too, so that each worker has its share."""
    while ask(port, path, answered, times=20):
        pass


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_under_load_loses_no_answered_request(database, workers):
    """Each request that was answered before the server ended has its row, and nobody has two."""
    answered = []
    with uvicorn(database, "--workers", workers) as (process, port):
        threads = [
            threading.Thread(target=ask_until_it_ends, args=(port, path, answered))
            for path in ("/loop", "/thread", "/loop", "/thread")
        ]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(answered) > 500 or process.poll() is not None)
        process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join()
        errors = process.communicate(timeout=60)[1]
    assert len(answered) > 500, errors.decode()
    rows = database.rows()
    assert_exact(database, len(rows))
    assert set(answered) <= {row["request_id"] for row in rows}
    assert len({row["writer_id"] for row in rows}) <= workers
    assert errors == b""
    wait_until(lambda: sessions(database) == 0)
