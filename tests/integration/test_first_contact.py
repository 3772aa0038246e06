"""Whoever sits before an empty table is told why: once, in one sentence that says what, where and what now."""

from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pglog_audit.cli.commands import cli
from pglog_audit.local_postgres import LocalPostgres
from tests.conftest import WRITER
from tests.support import PROGRAMS, run_program

PROGRAM = str(PROGRAMS / "first_contact.py")


def line_of(text: str) -> int:
    """Return the number of the line of the program that *text* stands in."""
    [number] = [n for n, line in enumerate(Path(PROGRAM).read_text().splitlines(), 1) if text in line]
    return number


def told(conninfo: str, *arguments: str, **environ: str) -> list[str]:
    """Return the lines that the program printed."""
    done = run_program("first_contact.py", conninfo, *arguments, **environ)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    return done.stderr.splitlines()


def test_the_usual_call_says_nothing(database) -> None:
    """Who does it right hears nothing, and has a row."""
    assert told(database.writer, "usual") == []
    assert [row["message"] for row in database.rows()] == ["Logo replaced"]


def test_extra_is_missing(database) -> None:
    """The event is stored all the same."""
    [line] = told(database.writer, "no extra")
    number = line_of('replaced", audit(')
    assert line == (
        f"audit(...) is an argument of the message at {PROGRAM}:{number}: it is taken for the event all the same, "
        "but write extra=audit(...)"
    )
    assert [(row["action"], row["message"]) for row in database.rows()] == [("branding.update", "Logo replaced")]


@pytest.mark.parametrize(
    ("way", "call", "advice"),
    [
        ("level", 'logger.info("Logo replaced", extra', "has level WARNING, as root has; set its level to INFO"),
        ("other logger", 'getLogger("app")', "has one and takes INFO and above; log to it or to a child of it"),
        ("adapter", "LoggerAdapter", "came to logger 'audit' without extra, which a LoggerAdapter replaces"),
        ("disabled", "disabled = True", "is disabled, which dictConfig does unless disable_existing_loggers is False"),
    ],
)
def test_an_event_that_no_handler_hears(database, way, call, advice) -> None:
    """The line that logged is named, with what is in its way; there is no row."""
    lines = told(database.writer, way)
    [line] = [line for line in lines if "'branding.update'" in line]
    assert f"The event 'branding.update' of {PROGRAM}:" in line
    assert "reached no audit handler: " in line
    assert "logger 'audit'" in line
    assert advice in line
    assert call in "\n".join(Path(PROGRAM).read_text().splitlines()[int(line.split(":")[1].split()[0]) - 2 :][:2])
    assert database.rows() == []


def test_a_record_without_audit_on_a_logger_that_has_only_our_handler(database) -> None:
    """A record that nobody prints and nobody stores is told of."""
    [line] = told(database.writer, "no audit")
    assert line.startswith("A record without audit(...) goes nowhere: logger 'audit' has only an audit handler (")
    assert database.rows() == []


def waiting(lines: list[str]) -> str:
    """Return why the event waited: told once while it waits, and once more at the end, with what it cost."""
    first, last = lines
    reason = first.removeprefix("Audit events wait (1 so far): ")
    assert last == f"pglog_audit: 1 audit event lost at exit: {reason}"
    return reason


def test_the_variable_names_another_database(empty_database) -> None:
    """DATABASE_URL is named, with the database that it leads to."""
    parts = conninfo_to_dict(empty_database.writer)
    url = f"postgresql://{WRITER}@/{empty_database.name}?host={parts['host']}&port={parts['port']}"
    reason = waiting(told("", "usual", DATABASE_URL=url))
    assert reason == (
        f"there is no table audit_log in database {empty_database.name} ($DATABASE_URL): "
        "run 'pglog-audit init', or name the database that has it"
    )


def test_the_database_does_not_exist(server) -> None:
    """The server's answer comes with where the name was found."""
    reason = waiting(told(server.conninfo("nowhere", WRITER), "usual"))
    assert "cannot connect to user=pglog_writer host=" in reason
    assert "dbname=nowhere ($PGLOG_AUDIT_CONNINFO): " in reason
    assert 'database "nowhere" does not exist' in reason


def test_the_table_is_in_another_schema(empty_database) -> None:
    """A table that lies outside the search path is found and named as it must be."""
    empty_database.execute("CREATE SCHEMA history")
    empty_database.execute("CREATE TABLE history.audit_log (action text)")
    reason = waiting(told(empty_database.writer, "usual"))
    assert f"there is no table audit_log that role {WRITER} finds in database" in reason
    assert "but one in schema history: say table='history.audit_log', or GRANT USAGE on that schema" in reason


def test_the_table_is_another_programs(empty_database) -> None:
    """A table of that name which is not ours is not blamed on a missing grant."""
    empty_database.execute("CREATE TABLE audit_log (id bigserial, what text)")
    empty_database.execute(f"GRANT ALL ON audit_log TO {WRITER}")
    assert "has no column action, so it is another program's: name yours with the option table" in waiting(
        told(empty_database.writer, "usual")
    )


def test_the_role_may_not_insert(database) -> None:
    """The command that mends it is spelled out, for the table at hand."""
    database.execute(f"REVOKE ALL ON audit_log FROM {WRITER}")
    reason = waiting(told(database.writer, "usual"))
    assert reason.startswith(f"role {WRITER} may not insert into audit_log in database {database.name}")
    assert reason.endswith(f"run 'pglog-audit init --writer {WRITER}' as the table's owner")


def test_the_role_may_not_insert_into_another_programs_table(empty_database) -> None:
    """The command takes the table as it is, and the next event is a row."""
    empty_database.execute("CREATE TABLE audit_log (action text, metadata jsonb)")
    reason = waiting(told(empty_database.writer, "usual"))
    command = f"pglog-audit init --existing --writer {WRITER}"
    assert reason.endswith(f"run '{command}' as the table's owner")
    result = CliRunner().invoke(cli, [*command.split()[1:], "--conninfo", empty_database.owner])
    assert result.exit_code == 0, result.output
    assert told(empty_database.writer, "usual") == []
    assert empty_database.rows("SELECT action FROM audit_log") == [{"action": "branding.update"}]


def test_the_password_is_wrong() -> None:
    """The server's refusal is told with role, host and variable, and without the password."""
    with LocalPostgres(durable=False, tcp=True) as server:
        with psycopg.connect(server.conninfo(), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE ROLE app LOGIN PASSWORD 'right'"))
        reason = waiting(told(make_conninfo(server.conninfo(user="app"), password="hunter2"), "usual"))
    assert "cannot connect to user=app host=127.0.0.1" in reason
    assert "($PGLOG_AUDIT_CONNINFO): " in reason
    assert 'password authentication failed for user "app"' in reason
    assert "hunter2" not in reason


def test_no_database_is_named() -> None:
    """Not configured means a no-op, and one warning that says which variables there are."""
    assert told("", "usual") == [
        "No database for the audit trail: events are not stored. "
        "Give conninfo, or set PGLOG_AUDIT_CONNINFO or DATABASE_URL"
    ]
