"""Whom a command names that gives up waiting for a lock."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from click.testing import CliRunner
from psycopg.conninfo import make_conninfo

from pglog_audit import owned_table, schema
from pglog_audit.cli.commands import cli
from pglog_audit.local_postgres import LocalPostgres
from tests.conftest import Database
from tests.support import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

OWNER, RIVAL, AUDITOR = "pglog_holder_owner", "pglog_holder_rival", "pglog_holder_auditor"
ADVISORY = "SELECT pg_advisory_lock(hashtextextended('pglog_audit', 0))"
WAITS = "SELECT FROM pg_locks WHERE pid = %s AND NOT granted"
COMMANDS = pytest.mark.parametrize("command", [["retain", "--keep", "1year"], ["maintain"]])


def make_table(database: Database) -> None:
    """Make a table with an old month, and an event in the default partition whose month is missing."""
    database.execute(f"CREATE ROLE {RIVAL} LOGIN; CREATE ROLE {AUDITOR} LOGIN; CREATE ROLE {OWNER} LOGIN SUPERUSER")
    with psycopg.connect(make_conninfo(database.owner, user=OWNER)) as connection:
        schema.init(connection, reader=AUDITOR)
        connection.execute("CREATE TABLE old PARTITION OF audit_log FOR VALUES FROM ('2001-01-01') TO ('2001-02-01')")
        connection.execute("INSERT INTO audit_log (action, occurred_at) VALUES ('a.b', '2028-01-01')")


@pytest.fixture
def held(any_database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """Return a database with roles and a table, whose upkeep gives up at once."""
    monkeypatch.setattr(owned_table, "_PAUSES", ())
    make_table(any_database)
    yield any_database
    any_database.execute(f"DROP OWNED BY {OWNER}, {RIVAL}, {AUDITOR} CASCADE; DROP ROLE {OWNER}, {RIVAL}, {AUDITOR}")


@pytest.fixture(params=["wheel", "debian"])
def prepared(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """Return such a database of a server that takes prepared transactions."""
    if request.param == "debian":
        found = sorted(Path("/usr/lib/postgresql").glob("1[4-7]/bin"))
        if not found:
            pytest.skip("there is no PostgreSQL 14 to 17 in /usr/lib/postgresql: apt install postgresql-15")
        monkeypatch.setenv("PGLOG_AUDIT_PGBIN", str(found[0]))
    monkeypatch.setattr(owned_table, "_PAUSES", ())
    with LocalPostgres(durable=False, settings={"max_prepared_transactions": "2"}) as server:
        database = Database("postgres", server.conninfo("postgres"), server.conninfo("postgres"))
        make_table(database)
        yield database


def connect(database: Database, role: str, **options: Any) -> psycopg.Connection[Any]:
    """Connect as *role*."""
    return psycopg.connect(make_conninfo(database.owner, user=role), **options)


def refuse(database: Database, command: list[str]) -> str:
    """Return why the owner's command finds no way."""
    result = CliRunner().invoke(cli, [*command, "--conninfo", make_conninfo(database.owner, user=OWNER)])
    assert result.exit_code == 3, result.output
    return result.stderr


@COMMANDS
def test_who_reads_and_not_who_holds_another_lock(held: Database, command: list[str]) -> None:
    """Upkeep waits for the table: a role that has the lock of setups is in nobody's way."""
    with connect(held, RIVAL) as rival, connect(held, AUDITOR) as auditor:
        rival.execute(ADVISORY)
        auditor.execute("SELECT count(*) FROM audit_log")
        pid = auditor.info.backend_pid
        told = refuse(held, command)
    assert f"is locked, by process {pid} of role {AUDITOR}: run it again later, or end that session with" in told
    assert f"pg_terminate_backend({pid})" in told


def test_upkeep_without_privileges_waits_for_the_lock_of_setups(held: Database) -> None:
    """An owner that took its own ones away has no other lock, and is told who holds that."""
    held.execute(f"ALTER ROLE {OWNER} NOSUPERUSER; REVOKE UPDATE, DELETE, TRUNCATE ON audit_log FROM {OWNER}")
    held.execute(f"GRANT CREATE ON SCHEMA public TO {OWNER}")
    with connect(held, RIVAL) as rival:
        rival.execute(ADVISORY)
        assert f"by process {rival.info.backend_pid} of role {RIVAL}: " in refuse(held, ["maintain"])


def test_an_init_names_who_holds_the_lock_of_setups(held: Database) -> None:
    """And not who reads the table, for which it does not wait."""
    with connect(held, RIVAL) as rival, connect(held, AUDITOR) as auditor:
        rival.execute(ADVISORY)
        auditor.execute("SELECT count(*) FROM audit_log")
        with (
            connect(held, OWNER, options="-c lock_timeout=200ms") as connection,
            pytest.raises(
                psycopg.errors.LockNotAvailable, match=f", by process {rival.info.backend_pid} of role {RIVAL}:"
            ),
        ):
            schema.init(connection)


@COMMANDS
def test_a_prepared_transaction(prepared: Database, command: list[str]) -> None:
    """It has no session that could be ended: its own name and owner are told, also where another command waits."""
    prepared.execute(f"GRANT INSERT ON audit_log TO {RIVAL}")
    with connect(prepared, RIVAL, autocommit=True) as rival:
        rival.execute("BEGIN; INSERT INTO audit_log (action) VALUES ('a.b')")
        rival.execute("PREPARE TRANSACTION 'it''s x'")
    told = refuse(prepared, command)
    assert (
        f"is locked, by the prepared transaction 'it''s x' of role {RIVAL}: run it again later, or end it with" in told
    )
    assert "ROLLBACK PREPARED 'it''s x' or COMMIT PREPARED 'it''s x'" in told
    prepared.execute("ROLLBACK PREPARED 'it''s x'")


def test_who_waits_as_well_comes_last(held: Database) -> None:
    """A command that waits for the same reader holds locks, and ends by itself."""
    with connect(held, AUDITOR) as auditor, connect(held, OWNER) as other:
        auditor.execute("SELECT count(*) FROM audit_log")
        other.execute("LOCK TABLE ONLY audit_log IN SHARE UPDATE EXCLUSIVE MODE")
        pids = [auditor.info.backend_pid, other.info.backend_pid]
        with ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(other.execute, "LOCK TABLE audit_log")
            wait_until(lambda: held.rows(WAITS, pids[1]) != [])
            told = refuse(held, ["maintain"])
            auditor.rollback()
            waiting.result()
    assert f"by process {pids[0]} of role {AUDITOR} and process {pids[1]} of role {OWNER}: run it again later" in told
