"""Rows of an attacker in a real table do nothing to who reads them: on a terminal, in a pipe, in a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
import pytest
from click.testing import CliRunner
from psycopg import sql
from psycopg.types.json import Jsonb

from pglog_audit import AuditLog
from pglog_audit.cli.commands import cli
from tests.hostile import ATTACKS, acting, is_formula
from tests.terminal import Terminal

if TYPE_CHECKING:
    from tests.conftest import Database

ID = "019cae1f-95b9-7d30-a1c4-6f0b6f6a3c51"
MAIN = [sys.executable, "-c", "from pglog_audit.cli import main; main()"]
COLUMN = "\x1b[2J=\u202e[red]:smile:\x9b\r\n\u200b"
QUESTIONS = {
    "timeline": ["timeline"],
    "timeline json": ["timeline", "-o", "json"],
    "timeline jsonl": ["timeline", "-o", "jsonl"],
    "timeline csv": ["timeline", "-o", "csv"],
    "show": ["show", ID],
    "show json": ["show", ID, "-o", "json"],
}
# rich's own: bold, red, yellow and their end.
STYLES = ("\x1b[1m", "\x1b[1;33m", "\x1b[0m")


@pytest.fixture
def attacked(database: Database) -> Database:
    """Return a database with an attack in every text of a row, in JSON, and in the name of a column."""
    with psycopg.connect(database.owner) as connection:
        connection.execute(sql.SQL("ALTER TABLE audit_log ADD {} text").format(sql.Identifier(COLUMN)))
    texts = ("action", "user_label", "entity_type", "target_label", "request_id", "message", "user_agent", "service")
    names = sql.SQL(", ").join(map(sql.Identifier, ("id", *texts, COLUMN, "outcome", "metadata", "changes")))
    statement = sql.SQL("INSERT INTO audit_log ({}) VALUES ({})").format(
        names, sql.SQL(", ").join([sql.Placeholder()] * (len(texts) + 5))
    )
    with psycopg.connect(database.owner) as connection:
        for id_, attack in ((ID, " ".join(ATTACKS)), *((uuid4(), attack) for attack in ATTACKS)):
            json_values = Jsonb({attack: [attack, {attack: attack}]}), Jsonb({attack: [attack, attack]})
            connection.execute(statement, [id_, *[attack] * (len(texts) + 1), "denied", *json_values])
    return database


def piped(database: Database, *arguments: str, returncode: int = 0) -> tuple[str, str]:
    """Run a command without a terminal, and return what it wrote on stdout and stderr."""
    environ = os.environ | {"PGLOG_AUDIT_CONNINFO": database.owner, "LC_ALL": "C.UTF-8"}
    done = subprocess.run([*MAIN, *arguments], env=environ, capture_output=True)
    assert done.returncode == returncode, done.stderr
    return done.stdout.decode(), done.stderr.decode()


def on_terminal(database: Database, *arguments: str, columns: int = 80, **environ: str) -> str:
    """Run a command on a terminal, and return what it showed but for our own colours."""
    environ["PGLOG_AUDIT_CONNINFO"] = database.owner
    with Terminal([*MAIN, *arguments], columns=columns, **environ) as terminal:
        _, shown = terminal.finish()
    for style in STYLES:
        shown = shown.replace(style, "")
    return shown


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
def test_in_a_pipe_nothing_acts(attacked: Database, question: list[str]) -> None:
    """On stdout and stderr there are visible characters and line ends."""
    stdout, stderr = piped(attacked, *question)
    assert "denied" in stdout
    assert acting(stdout, "\r\n" if "csv" in question else "\n") == set()
    assert acting(stderr) == set()


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
def test_on_a_terminal_nothing_acts_but_our_colours(attacked: Database, question: list[str]) -> None:
    """Through no pager, `cat` or colours does an attack reach the terminal."""
    shown = on_terminal(attacked, *question, PAGER="cat", FORCE_COLOR="1")
    assert "denied" in shown
    assert acting(shown, "\r\n" if "csv" in question else "\n") == set()


@pytest.mark.parametrize("question", [["timeline"], ["show", ID]], ids=["timeline", "show"])
def test_a_pager_gets_the_same_harmless_text(attacked: Database, question: list[str], tmp_path: Path) -> None:
    """What the pager reads is what a pipe reads."""
    program = tmp_path / "pager"
    program.write_text(f"#!/bin/sh\ncat > {tmp_path}/read\n")
    program.chmod(0o755)
    on_terminal(attacked, *question, PAGER=str(program))
    paged = (tmp_path / "read").read_text()
    assert acting(paged) == set()
    assert "denied" in paged
    if question == ["timeline"]:
        assert paged == piped(attacked, *question)[0]


def test_markup_and_emoji_codes_are_text(attacked: Database) -> None:
    """They stand in the table as somebody logged them."""
    shown = piped(attacked, "timeline")[0]
    for text in ("[red]x[/red]", "[link=http://x]y[/link]", ":smile:", r"\x1b[31mred\x1b[0m"):
        assert text in shown


@pytest.mark.parametrize("columns", ["20", "80", "200"])
def test_no_row_can_pass_for_another(attacked: Database, columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only as many lines begin with a time, at the left edge, as there are events."""
    monkeypatch.setenv("COLUMNS", columns)
    attacked.execute(
        "INSERT INTO audit_log (action, message) VALUES ('a.b', %s)", "x" * 44 + "\n2026-03-02 mallory" * 9
    )
    lines = piped(attacked, "timeline")[0].splitlines()[2:]
    assert sum(not line.startswith(" ") and "-" in line[:5] for line in lines) == len(ATTACKS) + 2


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_no_value_can_pass_for_another_field(attacked: Database, columns: int) -> None:
    """On a terminal a long value goes on below itself, not at the left edge, where the next field begins."""
    id_ = "019cae1f-95b9-7d30-a1c4-6f0b6f6a3c52"
    forged = "".join("x" * (columns - 17) + "outcome          success" + " " * 30 for _ in range(5))
    attacked.execute("INSERT INTO audit_log (id, action, message) VALUES (%s, 'a.b', %s)", id_, forged)
    shown = on_terminal(attacked, "show", id_, columns=columns, PAGER="cat")
    assert [line.split()[-1] for line in shown.splitlines() if line.startswith("outcome")] == ["success"]
    assert shown.count("x") >= 5 * (columns - 17)


@pytest.mark.parametrize("output", ["json", "jsonl"])
def test_json_is_exact(attacked: Database, output: str) -> None:
    """A program gets what was logged, to the last character."""
    text = piped(attacked, "timeline", "-o", output)[0]
    rows = json.loads(text) if output == "json" else [json.loads(line) for line in text.splitlines()]
    assert {row["message"] for row in rows} == {*ATTACKS, " ".join(ATTACKS)}
    assert all(row["extra"] == {COLUMN: row["message"]} for row in rows)
    assert all(row["metadata"] == {row["message"]: [row["message"], {row["message"]: row["message"]}]} for row in rows)


def test_csv_runs_nothing(attacked: Database) -> None:
    """No cell, header included, is a formula to a spreadsheet, with comma or semicolon between cells."""
    text = piped(attacked, "timeline", "-o", "csv")[0]
    cells = [cell for row in csv.reader(io.StringIO(text, newline=""), strict=True) for cell in row]
    assert len(cells) == 24 * (len(ATTACKS) + 2)
    assert [cell for cell in cells if is_formula(cell)] == []
    assert [cell for line in text.splitlines() for cell in line.split(";")[1:] if is_formula(cell)] == []


BEYOND = {
    "a long number": ("""('{"n": ' || repeat('9', 5000) || '}')::jsonb""", {"n": "9" * 5000}),
    "a long fraction": ("""('{"n": ' || repeat('9', 400) || '.5}')::jsonb""", {"n": "9" * 400 + ".5"}),
    "deep arrays": ("(repeat('[', 1100) || repeat(']', 1100))::jsonb", "[" * 1100 + "]" * 1100),
    "deeper than dumps": ("(repeat('[', 400) || repeat(']', 400))::jsonb", "[" * 400 + "]" * 400),
    "deep objects": (
        """(repeat('{"a": ', 1100) || 'null' || repeat('}', 1100))::jsonb""",
        '{"a": ' * 1100 + "null" + "}" * 1100,
    ),
}
COLUMNS = {
    "big json": ("'[1e400, 1e99999999999999999999]'", "[1e400, 1e99999999999999999999]"),
    "large json": ("'[1e400]'", ["1E+400"]),
    "surrogate json": (r"""'["\ud800"]'""", ["\ud800"]),
    "several jsonb[]": ("ARRAY[repeat('9', 5000), '1', repeat('[', 999) || repeat(']', 999)]::jsonb[]", None),
    "number numeric": ("repeat('9', 5000)::numeric", "9" * 5000),
    "numbers numeric[]": ("ARRAY[repeat('9', 5000)::numeric, 'NaN']", ["9" * 5000, "NaN"]),
    "midnight time": ("'24:00'", "24:00:00"),
    "midnights time[]": ("'{24:00}'", ["24:00:00"]),
    "noon timetz": ("'24:00+00'", "24:00:00+00"),
    "while interval": ("'2147483647 days'", "2147483647 days"),
    "day date": ("'5874897-12-31'", "5874897-12-31"),
    "days daterange": ("'[-infinity,infinity]'", "[-infinity, infinity]"),
    "before timestamp": ("'4713-01-01 BC'", "4713-01-01 00:00:00 BC"),
    "endless float8": ("'-infinity'", "-inf"),
}


@pytest.fixture
def shadowed(database: Database) -> Database:
    """Return a database with an event that its writer means to hide by the next ones."""
    database.execute("INSERT INTO audit_log (id, action) VALUES (%s, 'money.stolen')", ID)
    return database


def everything(database: Database, id_: str) -> dict[str, dict[str, Any]]:
    """Return the event as each of the machine's formats tells it."""
    array, row = piped(database, "timeline", "-o", "json")[0], piped(database, "show", id_, "-o", "json")[0]
    lines = piped(database, "timeline", "-o", "jsonl")[0].splitlines()
    told = {"json": json.loads(array), "jsonl": [json.loads(line) for line in lines], "show": [json.loads(row)]}
    assert [len(rows) for rows in told.values()] == [2, 2, 1]
    return {name: next(each for each in rows if each["id"] == id_) for name, rows in told.items()}


@pytest.mark.parametrize("field", ["metadata", "changes"])
@pytest.mark.parametrize(("value", "expected"), BEYOND.values(), ids=BEYOND)
def test_no_row_hides_another(shadowed: Database, field: str, value: str, expected: Any) -> None:
    """What Python cannot hold is shown as text, with all other events around it."""
    id_ = "019cae1f-95b9-7d30-a1c4-6f0b6f6a3c52"
    with psycopg.connect(shadowed.writer) as connection:
        connection.execute(f"INSERT INTO audit_log (id, action, {field}) VALUES ('{id_}', 'a.b', {value})")
    assert [row[field] for row in everything(shadowed, id_).values()] == [expected] * 3
    text = piped(shadowed, "timeline", "-o", "csv")[0]
    rows = {row["id"]: row for row in csv.DictReader(io.StringIO(text, newline=""), strict=True)}
    assert json.loads(rows[id_][field]) == expected
    assert rows[ID]["action"] == "money.stolen"
    table = piped(shadowed, "timeline")[0]
    assert ("a.b" in table, "money.stolen" in table) == (True, True)
    assert (expected if isinstance(expected, str) else expected["n"]) in piped(shadowed, "show", id_)[0]


@pytest.mark.parametrize("style", ["postgres", "iso_8601"])
def test_no_column_of_the_users_hides_a_row(shadowed: Database, style: str) -> None:
    """The same holds for each type that psycopg reads as more than text."""
    id_ = "019cae1f-95b9-7d30-a1c4-6f0b6f6a3c52"
    names = ", ".join(name.split()[0] for name in COLUMNS)
    shadowed.execute(f"ALTER TABLE audit_log {', '.join(f'ADD {name}' for name in COLUMNS)}")
    shadowed.execute(
        f"INSERT INTO audit_log (id, action, {names})"
        f" VALUES ('{id_}', 'a.b', {', '.join(value for value, _ in COLUMNS.values())})"
    )
    shadowed.execute(f"ALTER DATABASE {shadowed.name} SET IntervalStyle = {style}")
    expected = {name.split()[0]: value for name, (_, value) in COLUMNS.items()}
    expected["several"] = ["9" * 5000, 1, "[" * 999 + "]" * 999]
    if style == "iso_8601":
        expected["while"] = "P2147483647D"
    assert [row["extra"] for row in everything(shadowed, id_).values()] == [expected] * 3
    for question in (["timeline"], ["timeline", "-o", "csv"], ["show", id_]):
        assert "a.b" in piped(shadowed, *question)[0]


def test_an_endless_interval_is_no_empty_one(database: Database) -> None:
    """From PostgreSQL 17 on an interval may be infinite, which psycopg takes for none."""
    database.execute("ALTER TABLE audit_log ADD lasts interval DEFAULT '-infinity'")
    database.execute("INSERT INTO audit_log (action) VALUES ('a.b')")
    assert AuditLog(database.owner).timeline()[0].extra == {"lasts": "-infinity"}


def test_an_application_gets_every_event(shadowed: Database) -> None:
    """Numbers keep their value, and texts and maps of many brackets are what they are."""
    wide = {"text": "[{" * 500, "list": [[]] * 500}
    shadowed.execute("INSERT INTO audit_log (action, metadata) VALUES ('a.b', %s)", Jsonb(wide))
    shadowed.execute(
        "INSERT INTO audit_log (action, metadata) VALUES ('c.d', jsonb_build_array(repeat('9', 5000)::numeric))"
    )
    newest, older, _ = AuditLog(shadowed.owner).timeline()
    assert newest.metadata == [Decimal("9" * 5000)]
    assert older.metadata == wide


@pytest.mark.parametrize("table", ["\x1b[2J", "\u202ex", "a\nb", "\u200b", "\x9b"])
@pytest.mark.parametrize("command", [["timeline"], ["show", ID]], ids=["timeline", "show"])
def test_names_on_the_command_line_are_told_harmlessly(database: Database, command: list[str], table: str) -> None:
    """A script may take the name of a table from somewhere else."""
    for arguments, status in (
        (["--table", table], 2),
        (["--column", f"{table}=x"], 2),
        (["--column", f"occurred_at={table}"], 4),
    ):
        result = CliRunner().invoke(cli, [*command, *arguments, "--conninfo", database.owner])
        assert (result.exit_code, result.stdout) == (status, "")
        assert result.stderr.startswith("Error: ")
        assert acting(result.stderr) == set()
        assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("attack", ["\x1b[2J", "\x1b]8;;http://x\x1b\\y", "\u202ex", "a\r\nError: b"])
def test_errors_of_the_server_are_told_harmlessly(database: Database, attack: str) -> None:
    """Whoever owns a view decides what its errors say."""
    database.execute(
        "CREATE FUNCTION refuse() RETURNS text LANGUAGE plpgsql AS "
        + sql.Literal(f"BEGIN RAISE EXCEPTION USING MESSAGE = {sql.Literal('x' + attack).as_string()}; END").as_string()
    )
    database.execute("CREATE VIEW trail AS SELECT *, refuse() FROM audit_log")
    database.execute("INSERT INTO audit_log (action) VALUES ('a.b')")
    _, stderr = piped(database, "timeline", "--table", "trail", returncode=4)
    assert acting(stderr) == set()
    assert stderr.count("\n") == 1
