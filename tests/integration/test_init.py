"""`pglog-audit init`: what it says, and that what it prints works when pasted."""

import os
import shlex
import subprocess
import sys

import psycopg
import pytest
from click.testing import CliRunner
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pglog_audit.cli.commands import cli

WRITER = "pglog_writer"


def run(*arguments, **environ):
    """Run a command as the shell would."""
    return CliRunner().invoke(cli, arguments, env=environ, prog_name="pglog-audit")


def url(conninfo):
    """Return a conninfo of the test server as a URL, with a password."""
    parts = conninfo_to_dict(conninfo)
    return f"postgresql://{parts['user']}:s3cr3t@:{parts['port']}/{parts['dbname']}?host={parts['host']}"


def pasted(output):
    """Return the Python of *output*, and the command that follows it."""
    code, command = output.partition("Logging configuration:\n")[2].split(
        "Read it, as the role that this command used:\n"
    )
    return code.replace("The first event:\n", ""), shlex.split(command)


@pytest.mark.parametrize("table", ["audit_log", "Audit.My Log"])
def test_what_it_prints_logs_and_shows_an_event(empty_database, table):
    """Pasted into Python, the configuration and the five lines make a row that the printed command shows."""
    empty_database.execute('CREATE SCHEMA "Audit"')
    result = run("init", "--conninfo", empty_database.owner, "--writer", WRITER, "--table", table)
    assert result.exit_code == 0
    code, (_, *command) = pasted(result.output)
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
    assert "branding.update" in run(*command).output


def test_what_it_prints_works_from_the_environment(empty_database):
    """A conninfo from the environment stays there: the application has its own."""
    result = run("init", "--writer", WRITER, DATABASE_URL=url(empty_database.owner))
    code, (_, *command) = pasted(result.output)
    assert "conninfo" not in code
    subprocess.run(
        [sys.executable, "-c", code], check=True, env=os.environ | {"DATABASE_URL": url(empty_database.writer)}
    )
    assert "branding.update" in run(*command, DATABASE_URL=url(empty_database.owner)).output


def test_it_names_the_variable_that_it_read(empty_database):
    """The handler reads the same variable, where it must name the writer."""
    libpq = {f"PG{name.upper()}": str(value) for name, value in conninfo_to_dict(empty_database.owner).items()}
    libpq["PGDATABASE"] = libpq.pop("PGDBNAME")
    for environ, name in (
        ({"PGLOG_AUDIT_CONNINFO": empty_database.owner, "DATABASE_URL": "postgresql://"}, "PGLOG_AUDIT_CONNINFO"),
        ({"DATABASE_URL": url(empty_database.owner)}, "DATABASE_URL"),
        ({"DATABASE_URL": "mysql://other", **libpq}, "PGHOST"),
    ):
        output = run("init", "--writer", WRITER, **environ).output
        assert f"as this command did: {name}. There it must name role {WRITER}." in output


@pytest.mark.parametrize("arguments", [[], ["--writer", WRITER]])
def test_it_never_prints_a_password(empty_database, arguments):
    """Neither from the command line nor from the environment."""
    assert "s3cr3t" not in run("init", *arguments, DATABASE_URL=url(empty_database.owner)).output
    result = run("init", *arguments, "--conninfo", url(empty_database.owner))
    assert result.exit_code == 0
    assert "s3cr3t" not in result.output
    assert "no password: libpq takes it from ~/.pgpass or PGPASSWORD" in result.output


def test_it_says_what_it_did(empty_database):
    """The first run made the table; the second says that it was there."""
    assert run("init", "--conninfo", empty_database.owner).output.startswith("Made public.audit_log")
    second = run("init", "--conninfo", empty_database.owner).output
    assert second.startswith("public.audit_log is there already; pglog-audit doctor tells whether it is whole.")


def test_it_warns_that_an_owner_can_alter_the_trail(empty_database):
    """Without a writer's role the guards bind nobody who connects as the owner."""
    output = run("init", "--conninfo", empty_database.owner).output
    assert "No --writer: an application that connects as postgres owns the table, and can alter and drop it." in output


def test_it_says_that_nobody_writes_yet(empty_database):
    """An owner that nobody logs in as is no application's."""
    output = run("init", "--conninfo", empty_database.owner, "--owner", "pglog_told_owner").output
    assert "No --writer: no application may insert yet.\nMake a role for it" in output
    empty_database.execute("DROP OWNED BY pglog_told_owner CASCADE; DROP ROLE pglog_told_owner")


def test_it_says_what_owner_and_operator_are(empty_database):
    """Who owns it, who maintains it and what a reader sees is told, and the printed command is the reader's."""
    roles = [f"pglog_told_{name}" for name in ("owner", "app", "support", "ops")]
    empty_database.execute(f"DROP ROLE IF EXISTS {', '.join(roles)}")
    for role in roles[1:]:
        empty_database.execute(f"CREATE ROLE {role} LOGIN")
    options = [
        part for pair in zip(("--owner", "--writer", "--reader", "--operator"), roles, strict=True) for part in pair
    ]
    output = run("init", "--conninfo", empty_database.owner, "--rls", *options).output
    assert "Role pglog_told_ops may act as pglog_told_owner, who owns it, by SET ROLE." in output
    assert (
        "Row-level security is on: a reader sees the events of the tenant in pglog_audit.tenant, else none." in output
    )
    assert "Read it, as the role pglog_told_support:" in output
    assert "user=pglog_told_support" in output.partition("Read it")[2]
    empty_database.execute(f"DROP OWNED BY {', '.join(roles)} CASCADE; DROP ROLE {', '.join(roles)}")


def test_it_tells_what_weakens_the_writers_role(empty_database):
    """A writer that owns the schema may drop the table; one that nobody may alter has no time limits."""
    empty_database.execute("DROP ROLE IF EXISTS pglog_told_maker; CREATE ROLE pglog_told_maker LOGIN")
    empty_database.execute("GRANT CREATE ON SCHEMA public TO pglog_told_maker")
    empty_database.execute(f"ALTER DATABASE {empty_database.name} OWNER TO {WRITER}")
    maker = make_conninfo(empty_database.owner, user="pglog_told_maker")
    output = run("init", "--conninfo", maker, "--writer", WRITER).output
    assert f"Role {WRITER} owns the schema, and may drop the table all the same" in output
    assert f"""ALTER ROLE "{WRITER}" SET lock_timeout = '5s'; ALTER ROLE""" in output
    empty_database.execute(f"ALTER DATABASE {empty_database.name} OWNER TO postgres")
    empty_database.execute("DROP OWNED BY pglog_told_maker CASCADE; DROP ROLE pglog_told_maker")


def test_it_says_who_may_read_what(empty_database):
    """With --reader the view is shown and named, and the role can ask it."""
    empty_database.execute("DROP ROLE IF EXISTS pglog_looker; CREATE ROLE pglog_looker LOGIN")
    output = run("init", "--conninfo", empty_database.owner, "--reader", "pglog_looker").output
    assert "For SQL there is the view public.audit_timeline: who did what, in columns to read." in output
    granted = "Role pglog_looker may read public.audit_log and public.audit_timeline and has been given nothing else."
    assert granted in output
    with psycopg.connect(make_conninfo(empty_database.owner, user="pglog_looker")) as connection:
        assert connection.execute("TABLE audit_timeline").fetchall() == []


def test_it_shows_no_view_on_another_programs_table(empty_database):
    """--existing makes nothing: the reader gets the table alone."""
    empty_database.execute("DROP ROLE IF EXISTS pglog_looker; CREATE ROLE pglog_looker LOGIN")
    empty_database.execute("CREATE TABLE activity (action text)")
    options = ("--table", "activity", "--existing", "--reader", "pglog_looker")
    output = run("init", "--conninfo", empty_database.owner, *options).output
    assert "Role pglog_looker may read public.activity and has been given nothing else." in output
    assert "view" not in output


def test_one_role_may_write_and_read(empty_database):
    """It is told once, and the same if it gets the one after the other."""
    both = f"Role {WRITER} may insert events and read public.audit_log and public.audit_timeline"
    output = run("init", "--conninfo", empty_database.owner, "--writer", WRITER, "--reader", WRITER).output
    assert output.count("Role") == output.count(f"{both} and has been given nothing else.") == 1
    assert both in run("init", "--conninfo", empty_database.owner, "--reader", WRITER).output
    later = run("init", "--conninfo", empty_database.owner, "--writer", WRITER).output
    assert f"Role {WRITER} may insert events and read public.audit_log and has been given nothing else." in later


def test_a_role_that_has_more_is_told_so(empty_database):
    """What others granted counts, whole or by column."""
    run("init", "--conninfo", empty_database.owner, "--writer", WRITER)
    empty_database.execute(f"GRANT DELETE, UPDATE (action) ON audit_log TO {WRITER}")
    output = run("init", "--conninfo", empty_database.owner, "--writer", WRITER).output
    assert f"Role {WRITER} may insert events. It has DELETE, UPDATE as well: pglog-audit doctor --writer" in output
    assert "nothing else" not in output


def test_it_names_the_fields_that_an_existing_table_lacks(empty_database):
    """Who uses a table of their own learns what will not be stored there."""
    empty_database.execute("CREATE TABLE audit_log (action text, user_id uuid, metadata jsonb)")
    output = run("init", "--conninfo", empty_database.owner, "--existing", "--writer", WRITER).output
    assert "public.audit_log is used as it is." in output
    assert "no column for id, occurred_at" in output


def test_id_types_reach_the_table(empty_database):
    """Each --id-type sets its column's type."""
    run("init", "--conninfo", empty_database.owner, "--id-type", "user_id=bigint", "--id-type", "target_id=text")
    rows = empty_database.rows(
        "SELECT column_name, data_type FROM information_schema.columns"
        " WHERE table_name = 'audit_log' AND column_name IN ('user_id', 'target_id', 'event_id')"
    )
    types = {row["column_name"]: row["data_type"] for row in rows}
    assert types == {"user_id": "bigint", "target_id": "text", "event_id": "uuid"}


def test_a_missing_database_exits_3(server):
    """What the server says when it turns a connection away is one line."""
    result = run("init", "--conninfo", server.conninfo("no_such_database"))
    assert result.exit_code == 3
    assert 'database "no_such_database" does not exist' in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["--writer", "no_such_role"],
        ["--reader", "no_such_role"],
        ["--table", "no_such_schema.audit_log"],
        ["--existing"],
    ],
)
def test_what_does_not_fit_exits_4(empty_database, arguments):
    """A missing role, schema or table is no wrong usage: the database must be changed first."""
    result = run("init", "--conninfo", empty_database.owner, *arguments)
    assert result.exit_code == 4
    assert result.stderr.startswith("Error: there is no")


def test_a_missing_privilege_exits_4(database):
    """A role that may not create tables is told so in one line."""
    database.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    result = run("init", "--conninfo", database.writer, "--table", "other")
    assert result.exit_code == 4
    assert result.stderr == (
        "Error: the database refused: permission denied for schema public; connect as a role that may, "
        "or act as one of yours by PGOPTIONS='-c role=ROLE'\n"
    )


def test_values_of_rows_are_not_shown(empty_database):
    """The DETAIL of a server's error holds what people stored; it stays out."""
    empty_database.execute(
        "CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS"
        " $$BEGIN RAISE EXCEPTION 'not now' USING DETAIL = 'Key (email)=(ada@example.org)'; END$$"
    )
    empty_database.execute("CREATE EVENT TRIGGER refuse ON ddl_command_start EXECUTE FUNCTION refuse()")
    result = run("init", "--conninfo", empty_database.owner)
    assert (result.exit_code, result.stderr) == (4, "Error: the database refused: not now\n")


def test_the_script_needs_no_database(database):
    """`sql` prints what init runs, and running it needs nothing else."""
    script = run("sql", "--table", "second", "--writer", WRITER, "--reader", "pg_monitor").output
    with psycopg.connect(make_conninfo(database.owner), autocommit=True) as connection:
        connection.execute(script)
    assert database.rows("SELECT has_table_privilege('pg_monitor', 'second_timeline', 'SELECT') AS may") == [
        {"may": True}
    ]
