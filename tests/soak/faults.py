"""What happens to the database: each fault begins, lasts as long as the block, and is over after it."""

import os
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

import psycopg

from pglog_audit.local_postgres import LocalPostgres
from tests.conftest import Database
from tests.faults.conftest import away, backends, stopped
from tests.support import wait_until

Fault = Callable[[LocalPostgres, Database, random.Random], AbstractContextManager[None]]


@contextmanager
def crash(server: LocalPostgres, database: Database, chance: random.Random) -> Iterator[None]:
    """Shut down as a power cut would; the start recovers."""
    server.stop("immediate")
    yield
    server.start()


@contextmanager
def restart(server: LocalPostgres, database: Database, chance: random.Random) -> Iterator[None]:
    """Shut down in order."""
    server.stop("fast")
    yield
    server.start()


@contextmanager
def kill_session(server: LocalPostgres, database: Database, chance: random.Random) -> Iterator[None]:
    """Kill the process of a session, for which the server ends all of them and recovers."""
    _signal_session(database, chance, signal.SIGKILL)
    yield
    wait_until(lambda: _answers(database))


@contextmanager
def halt_session(server: LocalPostgres, database: Database, chance: random.Random) -> Iterator[None]:
    """Halt the process of a session, wherever it is in its transaction."""
    pid = _signal_session(database, chance, signal.SIGSTOP)
    try:
        yield
    finally:
        if pid is not None:
            _signal(pid, signal.SIGCONT)


@contextmanager
def halt_server(server: LocalPostgres, database: Database, chance: random.Random) -> Iterator[None]:
    """Halt the server's first process: sessions go on, new ones hang."""
    assert server.pid is not None
    with stopped(server.pid):
        yield


@contextmanager
def lock_table(server: LocalPostgres, database: Database, chance: random.Random) -> Iterator[None]:
    """Let nobody into the table, as ALTER TABLE does."""
    with psycopg.connect(database.owner) as connection:
        connection.execute("LOCK TABLE audit_log IN ACCESS EXCLUSIVE MODE")
        yield


@contextmanager
def refuse(server: LocalPostgres, database: Database, chance: random.Random) -> Iterator[None]:
    """End the writers' sessions, and refuse new ones."""
    with away(database):
        yield


FAULTS: tuple[Fault, ...] = (crash, restart, kill_session, halt_session, halt_server, lock_table, refuse)
RESTARTS = (crash, restart, kill_session)
"""Those after which the server starts anew."""


def _signal_session(database: Database, chance: random.Random, number: signal.Signals) -> int | None:
    """Send a signal to one of the writers' sessions and return its process, None if there is no session."""
    pids = backends(database)
    if not pids:
        return None
    pid = chance.choice(pids)
    _signal(pid, number)
    return pid


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # a session may end meanwhile, with its client
        os.kill(pid, number)


def _answers(database: Database) -> bool:
    try:
        return bool(database.rows("SELECT 1"))
    except psycopg.OperationalError:
        return False
