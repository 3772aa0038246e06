"""The exit status of every command that reads or makes the table, under the conditions that README.md names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest
from click.testing import CliRunner, Result
from psycopg.conninfo import make_conninfo

from pglog_audit import owned_table
from pglog_audit.cli.commands import cli
from pglog_audit.local_postgres import LocalPostgres

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Database

COMMANDS = [["timeline"], ["show", "019cae1f-95b9-7d30-a1c4-6f0b6f6a3c51"]]
OF_THE_OWNER = [["maintain"], ["retain", "--keep", "2years"], ["upgrade"]]
every_command = pytest.mark.parametrize("command", [["init"], *OF_THE_OWNER, *COMMANDS], ids=lambda command: command[0])
every_owners = pytest.mark.parametrize("command", OF_THE_OWNER, ids=lambda command: command[0])
every_reader = pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])


def run(conninfo: str, command: list[str], *arguments: str) -> Result:
    return CliRunner().invoke(cli, [*command, "--conninfo", conninfo, *arguments])


def check(result: Result, status: int, text: str) -> None:
    """Check status and error: one line, with nothing on stdout."""
    assert (result.exit_code, result.stdout) == (status, ""), result.output
    assert result.stderr.startswith("Error: ")
    assert text in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.fixture(scope="module")
def tcp_server() -> Iterator[LocalPostgres]:
    """Start a server that asks for passwords."""
    with LocalPostgres(tcp=True, durable=False) as server:
        yield server


@every_command
def test_a_wrong_password_is_3(tcp_server: LocalPostgres, command: list[str]) -> None:
    """Nobody was let in, so nothing is known of the table."""
    result = run(make_conninfo(tcp_server.conninfo(), password="wr0ng"), command)
    check(result, 3, "password authentication failed")
    assert "wr0ng" not in result.output


@every_command
@pytest.mark.parametrize(
    ("conninfo", "text"),
    [
        ("host=127.0.0.1 port=1", "Connection refused"),
        ("host=127.0.0.1,127.0.0.2 port=1", "Connection refused"),
        ("host=/no/such/directory", "No such file or directory"),
        ("host=no-such-host.invalid", "failed to resolve host 'no-such-host.invalid'"),
    ],
)
def test_no_server_is_3(command: list[str], conninfo: str, text: str) -> None:
    """A closed port, a missing socket and an unknown host are one line each."""
    check(run(conninfo, command), 3, text)


@every_command
def test_no_database_or_role_is_3(server: LocalPostgres, command: list[str]) -> None:
    """What the server turns away before any statement cannot be reached."""
    check(run(server.conninfo("no_such_database"), command), 3, 'database "no_such_database" does not exist')
    check(run(server.conninfo(user="no_such_role"), command), 3, 'role "no_such_role" does not exist')


@every_reader
def test_a_server_that_ends_is_3(database: Database, command: list[str]) -> None:
    """A connection that is cut off in the middle is no answer of the table."""
    database.execute(
        "CREATE VIEW trail AS SELECT *, pg_terminate_backend(pg_backend_pid()) FROM audit_log",
    )
    database.execute("INSERT INTO audit_log (id, action) VALUES ('019cae1f-95b9-7d30-a1c4-6f0b6f6a3c51', 'a.b')")
    check(run(database.owner, command, "--table", "trail"), 3, "terminating connection")


@every_reader
def test_a_timeout_of_the_server_is_3(database: Database, command: list[str]) -> None:
    """The same command may work when there is less to do."""
    with psycopg.connect(database.owner) as connection:
        connection.execute("LOCK TABLE audit_log")
        conninfo = f"{database.owner} options='-c lock_timeout=10ms'"
        check(run(conninfo, command), 3, "lock timeout")


@every_reader
def test_no_table_is_4(empty_database: Database, command: list[str]) -> None:
    """The database must be changed first, and the error says how."""
    check(run(empty_database.owner, command), 4, "run pglog-audit init")


@every_owners
def test_no_table_of_ours_is_4(empty_database: Database, command: list[str]) -> None:
    """So is another program's: its owner keeps it in order."""
    check(run(empty_database.owner, command), 4, "run pglog-audit init")
    empty_database.execute("CREATE TABLE audit_log (action text)")
    check(run(empty_database.owner, command), 4, "was not made by pglog_audit")


@every_owners
def test_who_does_not_own_the_table_is_4(database: Database, command: list[str]) -> None:
    """The application cannot alter it, and is told who may."""
    check(run(database.writer, command), 4, "neither owns public.audit_log nor is a member of")


@pytest.mark.parametrize("command", [["maintain", "--ahead", "13"], ["retain", "--keep", "1day"]])
def test_a_table_that_somebody_holds_is_3(
    database: Database, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    """The same command works when the table is free again."""
    monkeypatch.setattr(owned_table, "_PAUSES", ())
    database.execute("CREATE TABLE past PARTITION OF audit_log FOR VALUES FROM ('2001-01-01') TO ('2001-02-01')")
    with psycopg.connect(database.owner) as connection:
        connection.execute("LOCK TABLE audit_log")
        check(run(database.owner, command), 3, "public.audit_log is locked, by process ")


def test_a_time_to_keep_that_is_none_is_2(database: Database) -> None:
    """What can never work is told before anything is dropped."""
    check(run(database.owner, ["retain", "--keep", "24m"]), 2, "write how long, such as 24months")


@every_reader
def test_a_table_without_a_column_is_4(empty_database: Database, command: list[str]) -> None:
    """A table that lacks what the question needs is told with the option that helps."""
    empty_database.execute("CREATE TABLE audit_log (action text)")
    check(run(empty_database.owner, command), 4, "has no column")


@every_reader
def test_a_role_without_select_is_4(database: Database, command: list[str]) -> None:
    """The writer may insert and not read."""
    check(run(database.writer, command), 4, "permission denied")


@every_reader
def test_a_view_that_writes_is_4(database: Database, command: list[str]) -> None:
    """What the server refuses for what the table is will be refused again."""
    database.execute("INSERT INTO audit_log (id, action) VALUES ('019cae1f-95b9-7d30-a1c4-6f0b6f6a3c51', 'a.b')")
    database.execute("CREATE SEQUENCE seen; CREATE VIEW trail AS SELECT *, nextval('seen') FROM audit_log")
    check(run(database.owner, command, "--table", "trail"), 4, "read-only transaction")


@every_command
@pytest.mark.parametrize(
    "conninfo",
    [
        "host=127.0.0.1 port=99999",
        "host=127.0.0.1 port=x",
        "host=127.0.0.1 sslmode=maybe",
        "host=127.0.0.1 connect_timeout=x",
        "host=127.0.0.1 target_session_attrs=x",
        "host=127.0.0.1,127.0.0.2 port=1,2,3",
        "service=no_such_service",
        "colour=blue",
        "postgresql://[",
    ],
)
def test_an_unusable_conninfo_is_2(command: list[str], conninfo: str) -> None:
    """What can never lead to a database is the caller's to correct."""
    check(run(conninfo, command), 2, "conninfo")


@every_reader
def test_no_rows_of_others_in_errors(database: Database, command: list[str]) -> None:
    """An error of the server is its first line: the DETAIL may hold what people stored."""
    database.execute(
        "CREATE FUNCTION refuse() RETURNS text LANGUAGE plpgsql AS"
        " $$BEGIN RAISE EXCEPTION E'not\\x1b[2J now' USING DETAIL = 'Key (email)=(ada@example.org)'; END$$"
    )
    database.execute("CREATE VIEW trail AS SELECT *, refuse() FROM audit_log")
    database.execute("INSERT INTO audit_log (id, action) VALUES ('019cae1f-95b9-7d30-a1c4-6f0b6f6a3c51', 'a.b')")
    result = run(database.owner, command, "--table", "trail")
    check(result, 4, r"the database refused: not\x1b[2J now")
    assert "ada@" not in result.output
