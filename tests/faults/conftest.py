"""A server of each test's own, which it may stop, kill and fill, with a fresh audit table."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pglog_audit import schema
from pglog_audit.local_postgres import LocalPostgres
from tests.conftest import WRITER, Database
from tests.faults.proxy import Proxy
from tests.support import wait_until

QUICK: dict[str, Any] = {"write_timeout": 1, "connect_timeout": 2, "flush_interval": 0.01}
"""Options that let the writer notice early, so that a test need not wait."""
_DATABASE = "audit"
_PASSWORD = "correct horse"
# A crashed server otherwise opens each of its files before it starts.
_SETTINGS = {"recovery_init_sync_method": "syncfs"}


@pytest.fixture(scope="session")
def cluster() -> Iterator[Path]:
    """Make a database with an audit table once, and return its stopped server's directory, to be copied."""
    # Not pytest's own directory: the server's user could not reach it.
    directory = Path(tempfile.mkdtemp(prefix="pglog-audit-faults-"))
    directory.chmod(0o755)
    home = directory / "original"
    home.mkdir()
    with LocalPostgres(directory=home) as server:
        with psycopg.connect(server.conninfo(), autocommit=True) as connection:
            connection.execute(f"CREATE ROLE {WRITER} LOGIN PASSWORD '{_PASSWORD}'")
            connection.execute(f"CREATE DATABASE {_DATABASE}")
        with psycopg.connect(server.conninfo(_DATABASE)) as connection:
            schema.init(connection, writer=WRITER)
    yield home
    shutil.rmtree(directory)


@pytest.fixture
def make_server(cluster: Path) -> Iterator[Callable[..., LocalPostgres]]:
    """Return a function that starts a durable server, on data of its own; it takes the server's options."""
    home = cluster.with_name("copy")

    def make(*, settings: dict[str, str] | None = None, **options: Any) -> LocalPostgres:
        subprocess.run(["cp", "--archive", cluster, home], check=True)
        server = LocalPostgres(directory=home, settings={**_SETTINGS, **(settings or {})}, **options)
        servers.enter_context(closing(server))
        servers.callback(server.stop, "immediate")
        server.start()
        return server

    with ExitStack() as servers:
        servers.callback(shutil.rmtree, home)
        yield make


@pytest.fixture
def server(make_server: Callable[..., LocalPostgres]) -> LocalPostgres:
    """Start a server for this test alone."""
    return make_server()


@pytest.fixture
def database(server: LocalPostgres) -> Database:
    """Return the database of this test's server."""
    return database_of(server)


@pytest.fixture
def proxy(server: LocalPostgres) -> Iterator[Proxy]:
    """Return a network before this test's server."""
    parameters = psycopg.conninfo.conninfo_to_dict(server.conninfo())
    with Proxy(f"{parameters['host']}/.s.PGSQL.{parameters['port']}") as proxy:
        yield proxy


def database_of(server: LocalPostgres) -> Database:
    """Return the database with the audit table on *server*."""
    return Database(_DATABASE, owner=server.conninfo(_DATABASE), writer=server.conninfo(_DATABASE, WRITER, _PASSWORD))


def backends(database: Database) -> list[int]:
    """Return the process ids of the writer's sessions."""
    rows = database.rows("SELECT pid FROM pg_stat_activity WHERE datname = %s AND usename = %s", database.name, WRITER)
    return [row["pid"] for row in rows]


def terminate_backends(database: Database) -> None:
    """End the writer's sessions, as an administrator would."""
    database.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", WRITER)


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Halt the process *pid* inside the block."""
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_until(lambda: _state(pid) == "T")
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
