"""Databases that a test may take away, and servers of its own that it may stop, kill and fill."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import count
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
MODES: dict[str, dict[str, Any]] = {"default": {}, "spool": {"journal": False}, "journal": {"journal": True}}
ON_DISK = pytest.mark.parametrize("options", ["spool", "journal"], indirect=True)
"""For faults that concern only handlers with a spool."""
_DATABASE = "audit"
_numbers = count(1)
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

    def make(
        *, settings: dict[str, str] | None = None, standby_of: LocalPostgres | None = None, **options: Any
    ) -> LocalPostgres:
        home = cluster.with_name(f"copy-{next(_numbers)}")
        servers.callback(shutil.rmtree, home)
        subprocess.run(["cp", "--archive", cluster, home], check=True)
        if standby_of is not None:
            _follow(home / "data", standby_of)
        server = LocalPostgres(directory=home, settings={**_SETTINGS, **(settings or {})}, **options)
        servers.enter_context(closing(server))
        servers.callback(server.stop, "immediate")
        server.start()
        return server

    with ExitStack() as servers:
        yield make


def _follow(data: Path, primary: LocalPostgres) -> None:
    """Make the copied *data* those of a standby; in a file that ALTER SYSTEM can change later."""
    owner = data.stat()
    (data / "standby.signal").touch()
    os.chown(data / "standby.signal", owner.st_uid, owner.st_gid)
    with (data / "postgresql.auto.conf").open("a") as settings:
        settings.write("primary_conninfo = '{}'\n".format(primary.conninfo().replace("'", "''")))


@pytest.fixture
def own_server(make_server: Callable[..., LocalPostgres]) -> LocalPostgres:
    """Start a server for this test alone."""
    return make_server()


@pytest.fixture
def own_database(own_server: LocalPostgres) -> Database:
    """Return the database of this test's own server."""
    return database_of(own_server)


@pytest.fixture(params=MODES)
def options(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """Return quick options of a handler in each of its modes."""
    mode = MODES[request.param]
    return {**QUICK, **mode, **({"spool": str(tmp_path / "spool")} if mode else {})}


@pytest.fixture
def proxy(server: LocalPostgres) -> Iterator[Proxy]:
    """Return a network before the server."""
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
def away(database: Database) -> Iterator[None]:
    """Let the server end the writer's sessions and refuse new ones inside the block."""
    database.execute(f"REVOKE CONNECT ON DATABASE {database.name} FROM PUBLIC")
    terminate_backends(database)
    wait_until(lambda: not backends(database))
    yield
    database.execute(f"GRANT CONNECT ON DATABASE {database.name} TO PUBLIC")


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
