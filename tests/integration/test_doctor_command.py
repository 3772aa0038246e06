"""`pglog-audit doctor`: what it prints, which database it goes to, and its exit statuses."""

import json
import re
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from psycopg.conninfo import make_conninfo

from pglog_audit.cli.commands import cli
from pglog_audit.local_postgres import LocalPostgres
from tests.support import config

WRITER = "pglog_writer"
CALLS = """
import os

class Site:
    def __call__(self, environ): ...

site = Site()

def fail():
    return {"conninfo": os.environ["DSN"]}
"""


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Work in a directory of the test's own, where the application's modules lie."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return tmp_path


def run(*arguments, **environ):
    """Run the command as the shell would."""
    return CliRunner().invoke(cli, ["doctor", *arguments], env=environ, prog_name="pglog-audit")


def checks(*arguments, **environ):
    """Return the exit status, and each check of the JSON by its name; of several the last."""
    result = run(*arguments, "-o", "json", **environ)
    return result.exit_code, {each["name"]: each for each in json.loads(result.stdout)["checks"]}


def write_module(name, logging_config):
    """Write a module of the application with its LOGGING; another test may have imported one of that name."""
    sys.modules.pop(name, None)
    Path(f"{name}.py").write_text(f"LOGGING = {logging_config!r}\n\ndef make():\n    return LOGGING\n")


def test_a_line_for_each_check(database):
    """Status and name stand in columns, the advice under the text; without a terminal there is no colour."""
    result = run("--conninfo", database.writer)
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert re.fullmatch(
        r"ok {6}connection {8}user=pglog_writer host=.+, from --conninfo; \d+\.\d ms a round trip", lines[0]
    )
    assert "hidden  default rows      not visible to this role: it may not read the default partition" in lines
    assert lines[5].startswith(" " * 26 + "A crash of the server may lose")
    assert "\x1b" not in result.output


def test_colours_are_for_terminals(database):
    """On a terminal the status has a colour, unless NO_COLOR is set."""
    terminal = {"FORCE_COLOR": "1", "TERM": "xterm-256color"}
    assert "\x1b[32mok    \x1b[0m  connection" in run("--conninfo", database.writer, **terminal).output
    assert "\x1b[32m" not in run("--conninfo", database.writer, **terminal, NO_COLOR="1").output


def test_advice_of_several_lines_is_indented(database):
    """Advice of several lines is indented as a whole, so that no line begins like a check."""
    database.execute("DROP TRIGGER refuse_change ON audit_log")
    lines = run("--conninfo", database.owner, "--writer", WRITER).output.splitlines()
    assert " " * 26 + "As postgres: pglog-audit maintain" in lines


def test_json_is_one_object_in_ascii(database):
    """A program finds the checks and whether all is well."""
    database.execute("ALTER TABLE audit_log DISABLE TRIGGER refuse_change")
    result = run("--conninfo", database.owner, "--writer", WRITER, "-o", "json")
    told = json.loads(result.stdout)
    assert (told["ok"], result.exit_code, result.stdout.isascii()) == (False, 1, True)
    [wrong] = [each for each in told["checks"] if each["status"] == "wrong"]
    assert wrong.keys() == {"name", "status", "text", "advice"}
    assert wrong["name"] == "guards"


def test_names_in_the_database_cannot_reach_the_terminal(database):
    """Whoever may name an index may not send terminal sequences."""
    database.execute('CREATE UNIQUE INDEX "\x1b[2J" ON audit_log_default (request_id)')
    result = run("--conninfo", database.owner, "--writer", WRITER)
    assert result.exit_code == 1
    assert r"\x1b[2J" in result.output
    assert "\x1b" not in result.output


@pytest.mark.parametrize("variable", ["PGLOG_AUDIT_CONNINFO", "DATABASE_URL"])
def test_the_environment_names_the_database(database, server, variable):
    """The first line tells which variable it was."""
    url = f"postgresql://{WRITER}@/{database.name}?host={server._scratch}"
    assert f", from {variable};" in checks(**{variable: url})[1]["connection"]["text"]


def test_libpqs_variables_name_the_database(database, server):
    """As psql would find it."""
    status, found = checks(PGHOST=str(server._scratch), PGUSER=WRITER, PGDATABASE=database.name)
    assert status == 0
    assert f"dbname={database.name}, from libpq's variables;" in found["connection"]["text"]


def test_a_field_that_is_none_is_wrong_usage(database):
    """A misspelt field of --column is not passed over."""
    result = run("--conninfo", database.writer, "--column", "ocurred_at=created_at")
    assert result.exit_code == 2
    assert "columns names ocurred_at, which is no field" in result.stderr


def test_no_database_named_is_wrong_usage():
    """Without a database and without a configuration there is nothing to examine."""
    result = run()
    assert result.exit_code == 2
    assert "--conninfo" in result.stderr


def test_a_wrong_password_exits_3(home):
    """The line says what the server answered, and no password."""
    with LocalPostgres(durable=False, tcp=True) as server:
        status, found = checks("--conninfo", make_conninfo(server.conninfo(), password="s3cr3t"))
    assert status == 3
    assert found["connection"]["status"] == "wrong"
    assert "password authentication failed" in found["connection"]["text"]
    assert "s3cr3t" not in json.dumps(found)


def test_no_database_leaves_the_logging_half():
    """Where no server answers, the configuration is examined all the same."""
    write_module("away", config("postgresql://app@127.0.0.1:1/app"))
    status, found = checks("--config", "away:LOGGING")
    assert status == 3
    assert (found["connection"]["status"], found["handler"]["status"]) == ("wrong", "ok")


@pytest.mark.parametrize("statement", ["SELECT", "CREATE TABLE audit_log (action text)"])
def test_no_table_of_ours_exits_4(empty_database, statement):
    """A table is missing, or is another program's."""
    empty_database.execute(statement)
    status, found = checks("--conninfo", empty_database.owner)
    assert (status, found["table"]["status"]) == (4, "wrong")


def test_another_programs_table_is_examined_if_it_is_meant(empty_database):
    """The options say that it is, and what its columns are called."""
    empty_database.execute("CREATE TABLE activity (created_at timestamptz, action text)")
    empty_database.execute(f"GRANT INSERT ON activity TO {WRITER}")
    arguments = ["--conninfo", empty_database.writer, "--table", "activity", "--column", "occurred_at=created_at"]
    status, found = checks(*arguments, "--existing")
    assert status == 0
    assert "occurred_at" not in found["columns"]["text"]


class TestConfiguration:
    def test_the_handler_says_where_to_look(self, database):
        """Database, table and columns are the handler's own."""
        database.execute("CREATE TABLE trail (happened timestamptz, action text)")
        write_module("narrow", config(database.owner, table="trail", columns={"occurred_at": "happened"}))
        _, found = checks("--config", "narrow:LOGGING", "--existing")
        assert ", from the handler;" in found["connection"]["text"]
        assert "public.trail" in found["table"]["text"]
        assert "occurred_at" not in found["columns"]["text"]
        assert found["target"]["status"] == "ok"

    def test_nothing_is_wrong(self, database):
        """Both halves are in order: exit 0, and no event is left behind."""
        write_module("fine", config(database.writer))
        status, found = checks("--config", "fine:LOGGING")
        assert status == 0
        assert found["logger"]["text"] == "audit leads to AuditHandler audit of logger audit"
        assert database.rows() == []

    @pytest.mark.parametrize("reference", ["forms:LOGGING", "forms:make", "forms.json"])
    def test_forms_of_a_configuration(self, database, reference):
        """A dict, a callable that returns one, and a JSON file."""
        write_module("forms", config(database.writer))
        Path("forms.json").write_text(json.dumps(config(database.writer)))
        assert run("--config", reference).exit_code == 0

    @pytest.mark.parametrize("reference", ["pooled:LOGGING", "pooled.json"])
    def test_a_pool_of_the_applications(self, database, reference):
        """The application's other modules are found too, also where the configuration is no module."""
        pooled = config("", pool="their_pool:pool")
        del pooled["handlers"]["audit"]["conninfo"]
        write_module("pooled", pooled)
        Path("pooled.json").write_text(json.dumps(pooled))
        sys.modules.pop("their_pool", None)
        source = f"from psycopg_pool import ConnectionPool\npool = ConnectionPool({database.writer!r}, open=False)\n"
        Path("their_pool.py").write_text(source)
        status, found = checks("--config", reference)
        assert (status, found["connection"]["status"]) == (0, "ok")

    def test_another_database_than_the_handlers(self, database):
        """Who examines one database while the application writes to another is told."""
        write_module("elsewhere", config(make_conninfo(database.writer, dbname="elsewhere")))
        status, found = checks("--config", "elsewhere:LOGGING", "--conninfo", database.writer)
        assert (status, found["target"]["status"]) == (1, "wrong")
        assert "dbname=elsewhere table=audit_log, which was not examined" in found["target"]["text"]

    def test_the_handlers_host_is_printed_as_it_was_written(self, database):
        """Names of this machine are compared as one, and not printed as one."""
        write_module("written", config("postgresql://app@127.0.0.1:1/app"))
        _, found = checks("--config", "written:LOGGING", "--conninfo", database.writer)
        assert "writes to host=127.0.0.1 port=1 dbname=app" in found["target"]["text"]

    @pytest.mark.parametrize(("table", "status"), [("public.audit_log", "ok"), ("other.audit_log", "wrong")])
    def test_the_schema_of_the_handlers_table(self, database, table, status):
        """A name without its schema may be the same table, one with another schema is not."""
        write_module("qualified", config(database.writer, table=table))
        assert checks("--config", "qualified:LOGGING", "--table", "audit_log")[1]["target"]["status"] == "ok"
        assert checks("--config", "qualified:LOGGING", "--table", "public.audit_log")[1]["target"]["status"] == status

    def test_another_role_in_the_same_database(self, database):
        """The owner may examine what the application writes to."""
        write_module("same", config(database.writer))
        status, found = checks("--config", "same:LOGGING", "--conninfo", database.owner, "--writer", WRITER)
        assert (status, found["target"]["status"]) == (0, "ok")

    def test_a_fault_of_the_configuration(self, database):
        """A level that stops the events is told, and exits 1."""
        faulty = config(database.writer)
        del faulty["loggers"]["audit"]["level"], faulty["disable_existing_loggers"]
        write_module("faulty", faulty)
        status, found = checks("--config", "faulty:LOGGING")
        assert (status, found["level"]["status"]) == (1, "wrong")
        assert "disables existing loggers" in found["config"]["text"]

    def test_a_logger_by_name(self, database):
        """--logger looks at one, also at one that has no handler itself."""
        write_module("named", config(database.writer))
        assert (
            "logger other leads to no" in checks("--config", "named:LOGGING", "--logger", "other")[1]["logger"]["text"]
        )

    def test_no_logger_has_a_handler(self, database):
        """A configuration without any handler of ours writes no event."""
        write_module("none", {"version": 1})
        status, found = checks("--config", "none:LOGGING", "--conninfo", database.writer)
        assert (status, found["logger"]["text"]) == (1, "no logger in none:LOGGING has a handler of pglog_audit")

    def test_a_configuration_that_is_refused(self, database):
        """The line tells what the handler says, not only that it is refused."""
        write_module("refused", config(database.writer, capacty=1))
        status, found = checks("--config", "refused:LOGGING", "--conninfo", database.writer)
        assert status == 1
        assert "did you mean 'capacity'?" in found["config"]["text"]

    def test_a_handler_that_is_turned_off_says_nothing_of_a_database(self, database):
        """Its conninfo is not looked at; the environment's is."""
        write_module("off", config("postgresql://app@127.0.0.1:1/app", enabled=False))
        status, found = checks("--config", "off:LOGGING", PGLOG_AUDIT_CONNINFO=database.writer)
        assert (status, found["connection"]["status"], found["handler"]["status"]) == (1, "ok", "wrong")

    @pytest.mark.parametrize(
        "reference", ["no_such_module:LOGGING", "broken:LOGGING", "number:LOGGING", "none.json", "x"]
    )
    def test_no_configuration_is_wrong_usage(self, reference):
        """What cannot be loaded exits 2 with one line."""
        Path("broken.py").write_text("1 / 0")
        Path("number.py").write_text("LOGGING = 7")
        result = run("--config", reference)
        assert result.exit_code == 2
        assert result.stderr.startswith("Error: --config")
        assert result.stderr.count("\n") == 1

    @pytest.mark.parametrize(
        ("reference", "error"),
        [
            ("calls:site", "TypeError: Site.__call__() missing 1 required positional argument: 'environ'"),
            ("calls:fail", "KeyError: 'DSN'"),
        ],
    )
    def test_a_call_that_raises_is_wrong_usage(self, reference, error):
        """What is no function for it, or fails, exits 2 with one line of what it raised and what to name instead."""
        Path("calls.py").write_text(CALLS)
        sys.modules.pop("calls", None)
        result = run("--config", reference)
        assert (result.exit_code, result.stderr) == (
            2,
            f"Error: --config {reference} was called and raised {error}; name a dict for dictConfig, or a function "
            "without parameters that returns one\n",
        )

    def test_a_pool_whose_module_raises(self, home, monkeypatch):
        """The handler's options are fine until its pool is looked for; the line says what was raised."""
        monkeypatch.syspath_prepend(home)
        write_module("pooled", config("", pool="broken:POOL"))
        Path("broken.py").write_text("1 / 0")
        status, found = checks("--config", "pooled:LOGGING", DATABASE_URL="")
        assert status == 3
        assert "pool='broken:POOL' cannot be loaded: ZeroDivisionError" in found["connection"]["text"]

    def test_a_logger_without_configuration_is_wrong_usage(self, database):
        """There is no logging to look at in this process."""
        assert run("--logger", "audit", "--conninfo", database.writer).exit_code == 2


def test_help_ends_with_examples():
    """They stand as they are typed."""
    output = run("--help").output
    assert "\n  Examples:\n    pglog-audit doctor --writer app\n" in output
