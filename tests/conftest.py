"""A real PostgreSQL for the tests that ask for one, and a clean slate for every test."""

import logging
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row

from pglog_audit import context, diagnostics, schema
from pglog_audit.local_postgres import LocalPostgres

pytest.register_assert_rewrite("tests.support", "tests.faults")  # a check that fails there shows its values, too

WRITER = "pglog_writer"
EVENTS = "SELECT * FROM audit_log WHERE NOT starts_with(action, 'audit.') ORDER BY writer_id, writer_seq"
_ROOM_FOR_A_SERVER = 6 * 2**30
_numbers = count(1)


def pytest_configure() -> None:
    """Take SIGINT as on a terminal: who starts tests in the background ignores it, and so would their programs."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass(frozen=True)
class Database:
    """A database of the test's own: how its owner and the INSERT-only writer connect, and what lies in it."""

    name: str
    owner: str
    writer: str

    def rows(self, query: str = EVENTS, *params: Any) -> list[dict]:
        """Return the rows of *query*, by default all that a caller logged, asked as the owner."""
        with psycopg.connect(self.owner, autocommit=True, row_factory=dict_row) as connection:
            return connection.execute(query, params).fetchall()

    def execute(self, statement: str, *params: Any) -> None:
        """Run *statement* as the owner, outside a transaction."""
        with psycopg.connect(self.owner, autocommit=True) as connection:
            connection.execute(statement, params)


@pytest.fixture(scope="session")
def server() -> Iterator[LocalPostgres]:
    """Start one server for all tests of this pytest process; started here because only the main thread may."""
    with _home() as home, LocalPostgres(durable=False, directory=home) as server:
        _execute(server, sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(WRITER)))
        yield server


@pytest.fixture(scope="session")
def debian_server() -> Iterator[LocalPostgres]:
    """Start a server of the system's oldest PostgreSQL, which is another version than the wheel's."""
    found = sorted(Path("/usr/lib/postgresql").glob("1[4-7]/bin"))
    if not found:
        pytest.skip("there is no PostgreSQL 14 to 17 in /usr/lib/postgresql: apt install postgresql-15")
    with _home() as home:
        server = LocalPostgres(durable=False, directory=home)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PGLOG_AUDIT_PGBIN", str(found[0]))
            server.start()
        with server:
            yield server


@pytest.fixture(params=["wheel", "debian"])
def any_server(request: pytest.FixtureRequest) -> LocalPostgres:
    """Return a server of the newest PostgreSQL, and in a second test one of the system's."""
    server: LocalPostgres = request.getfixturevalue("server" if request.param == "wheel" else "debian_server")
    return server


@contextmanager
def _home() -> Iterator[Path | None]:
    """Give the server a directory in memory, if there is room for the million rows of the largest test."""
    # A database a test makes and removes 600 files, and an ext4 without journal looks for a free inode ever longer.
    memory = Path("/dev/shm")
    if not (memory.is_dir() and shutil.disk_usage(memory).free > _ROOM_FOR_A_SERVER):
        yield None
        return
    with TemporaryDirectory(prefix="pglog-audit-tests-", dir=memory) as home:
        Path(home).chmod(0o711)  # the server of root's tests is another user's
        yield Path(home)


@pytest.fixture(scope="session")
def template(server: LocalPostgres) -> str:
    """Make the audit table once, in a database to copy."""
    _execute(server, sql.SQL("CREATE DATABASE template_audit"))
    with psycopg.connect(server.conninfo("template_audit")) as connection:
        schema.init(connection, writer=WRITER)
    return "template_audit"


@pytest.fixture
def database(server: LocalPostgres, template: str) -> Iterator[Database]:
    """Return a fresh database with an audit table."""
    yield from _database(server, template)


@pytest.fixture
def empty_database(server: LocalPostgres) -> Iterator[Database]:
    """Return a fresh database without any table."""
    yield from _database(server, "template0")


@pytest.fixture
def any_database(any_server: LocalPostgres) -> Iterator[Database]:
    """Return a fresh database without any table, on either server."""
    yield from _database(any_server, "template0")


def _database(server: LocalPostgres, template: str) -> Iterator[Database]:
    name = f"test_{next(_numbers)}"
    identifiers = {"name": sql.Identifier(name), "template": sql.Identifier(template)}
    with psycopg.connect(server.conninfo(), autocommit=True) as connection:
        # The other strategy, default from 15 on, copies by way of the WAL, which costs twice the time in memory.
        strategy = sql.SQL("STRATEGY file_copy" if connection.info.server_version >= 150000 else "")
        create = sql.SQL("CREATE DATABASE {name} TEMPLATE {template} {strategy}")
        connection.execute(create.format(**identifiers, strategy=strategy))
    yield Database(name, owner=server.conninfo(name), writer=server.conninfo(name, WRITER))
    _end_writers()
    _execute(server, sql.SQL("DROP DATABASE {name} WITH (FORCE)").format(**identifiers))


def _execute(server: LocalPostgres, statement: sql.Composable) -> None:
    with psycopg.connect(server.conninfo(), autocommit=True) as connection:
        connection.execute(statement)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hide the developer's database from the test, and the test's from the next one."""
    for name in _database_variables():
        monkeypatch.delenv(name)
    yield
    for name in _database_variables():
        del os.environ[name]


def _database_variables() -> list[str]:
    # Where the server's programs are says nothing about a database, and tests may start servers of their own.
    return [n for n in os.environ if (n.startswith("PG") or n == "DATABASE_URL") and n != "PGLOG_AUDIT_PGBIN"]


@pytest.fixture(autouse=True)
def _clean_context() -> Iterator[None]:
    """Let no bound field reach the next test: pytest runs them all in one context."""
    token = context._scope.set(context._scope.get())
    yield
    context._scope.reset(token)


@pytest.fixture(autouse=True)
def _clean_logging() -> Iterator[None]:
    """Give every logger back as it was, close the test's handlers and forget which warnings were given."""
    before = {logger: _configuration(logger) for logger in _loggers()}
    diagnostics.reset()
    yield
    logging.captureWarnings(capture=False)
    logging.disable(logging.NOTSET)
    for logger in _loggers():
        _restore(logger, before.get(logger, {"level": logging.NOTSET, "propagate": True, "handlers": []}))
    _end_writers()
    diagnostics.reset()


def _end_writers() -> None:
    """End the test's background threads, and wait only shortly for a database that is away."""
    # A test that never wrote must not need the modules that write.
    processes = sys.modules.get("pglog_audit.processes")
    for writer in processes.writers() if processes else ():
        writer.flush(0.5)
        writer.give_up()
        writer.stop()


def _loggers() -> list[logging.Logger]:
    known = logging.root.manager.loggerDict.values()
    return [logging.root, *(logger for logger in known if isinstance(logger, logging.Logger))]


def _configuration(logger: logging.Logger) -> dict[str, Any]:
    return {"level": logger.level, "propagate": logger.propagate, "handlers": list(logger.handlers)}


def _restore(logger: logging.Logger, before: dict[str, Any]) -> None:
    for handler in set(logger.handlers) - set(before["handlers"]):
        handler.close()
    logger.handlers[:] = before["handlers"]
    logger.filters.clear()
    logger.propagate, logger.disabled = before["propagate"], False
    logger.setLevel(before["level"])
