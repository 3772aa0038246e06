"""`pglog-audit show`: one event with all that its row holds."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from click.testing import CliRunner, Result
from psycopg import sql
from psycopg.types.json import Jsonb

from pglog_audit.audit_event import EVENT_FIELDS
from pglog_audit.cli.commands import cli

if TYPE_CHECKING:
    from tests.conftest import Database

ID = "019cae1f-95b9-7d30-a1c4-6f0b6f6a3c51"
METADATA = {"gate": "north", "seen": {"by": ["Zoë", "山田"], "count": 2}, "empty": []}
CHANGES = {"status": ["invited", "refused"], "seat": [None, {"row": 4}], "odd": "x", "three": [1, 2, 3]}


def insert(database: Database, **values: Any) -> None:
    row = {"id": ID, "action": "guest.check_in", "occurred_at": "2026-03-02 09:41:07.5+00"} | values
    names = sql.SQL(", ").join(map(sql.Identifier, row))
    statement = sql.SQL("INSERT INTO audit_log ({}) VALUES ({})").format(
        names, sql.SQL(", ").join([sql.Placeholder()] * len(row))
    )
    database.execute(statement, *row.values())


def run(database: Database, *arguments: str, **environ: str) -> Result:
    return CliRunner().invoke(cli, ["show", *arguments, "--conninfo", database.owner], env=environ)


def shown(database: Database, *arguments: str) -> dict[str, str]:
    """Return the lines of each field, of those that show prints."""
    result = run(database, ID, *arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    fields = re.findall(r"^(\S+) *(.*(?:\n .*)*)\n", result.stdout, re.MULTILINE)
    return {name: re.sub(r"\n {17}", "\n", value) for name, value in fields}


def test_every_field_has_its_line(database: Database) -> None:
    """All that the row holds is there; a field without a value has a line, too."""
    user = uuid4()
    insert(database, user_id=user, source_ip="10.0.0.7", message="One\nTwo", outcome="denied", writer_seq=7)
    fields = shown(database, "--utc")
    assert list(fields) == list(EVENT_FIELDS)
    assert (fields["id"], fields["user_id"], fields["source_ip"]) == (ID, str(user), "10.0.0.7")
    assert (fields["message"], fields["outcome"], fields["writer_seq"]) == (r"One\nTwo", "denied", "7")
    assert fields["occurred_at"] == "2026-03-02 09:41:07.500000+00:00"
    assert (fields["service"], fields["metadata"]) == ("", "{}")


def test_metadata_and_changes_are_readable(database: Database) -> None:
    """Metadata is JSON with its parts below each other, a change is its old and its new value."""
    insert(database, metadata=Jsonb(METADATA), changes=Jsonb(CHANGES))
    fields = shown(database)
    assert json.loads(fields["metadata"]) == METADATA
    assert '"Zoë"' in fields["metadata"]
    assert sorted(fields["changes"].splitlines()) == [
        'odd: "x"',
        'seat: null → {"row": 4}',
        'status: "invited" → "refused"',
        "three: [1, 2, 3]",
    ]


def test_columns_of_the_users_come_last(database: Database) -> None:
    """A column that somebody added is shown under its name."""
    database.execute("ALTER TABLE audit_log ADD shop text, ADD tags jsonb")
    insert(database, shop="Graz", tags=Jsonb(["a"]))
    fields = shown(database)
    assert list(fields)[-2:] == ["shop", "tags"]
    assert (fields["shop"], json.loads(fields["tags"])) == ("Graz", ["a"])


def test_json_is_one_object(database: Database) -> None:
    """A program gets every field, and the user's columns under extra."""
    database.execute("ALTER TABLE audit_log ADD shop text")
    insert(database, metadata=Jsonb(METADATA), shop="Graz")
    event = json.loads(run(database, ID, "-o", "json", "--utc").stdout)
    assert list(event) == [*EVENT_FIELDS, "extra"]
    assert (event["id"], event["metadata"], event["extra"]) == (ID, METADATA, {"shop": "Graz"})
    assert event["occurred_at"] == "2026-03-02T09:41:07.500000+00:00"


def test_timeline_leads_to_show(database: Database) -> None:
    """The id that the table tells is the one that show takes."""
    insert(database, message="Refused")
    table = CliRunner().invoke(cli, ["timeline", "--conninfo", database.owner]).stdout
    [found] = re.findall(r"\bid (\S+)", table)
    assert "Refused" in run(database, found).stdout


def test_an_event_of_the_trail_about_itself_is_shown(database: Database) -> None:
    """Who has its id wants to see it."""
    insert(database, action="audit.start")
    assert shown(database)["action"] == "audit.start"


def test_no_such_event_exits_1(database: Database) -> None:
    """It is told with the table and the id that were looked for."""
    result = run(database, ID)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"Error: no event in audit_log has the id {ID}: ")


@pytest.mark.parametrize("bad", ["7", "019cae1f", "\x1b[2J", "", "\u202e"])
def test_what_is_no_id_exits_2(database: Database, bad: str) -> None:
    """A UUID that is cut off could never be found, and the error does nothing to the terminal."""
    result = run(database, bad)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("Error: id is nothing that its column can hold")
    assert result.stderr[:-1].isprintable()


def test_ids_of_other_tables(empty_database: Database) -> None:
    """In another program's table an id is what its column is."""
    empty_database.execute("CREATE TABLE activity (id bigserial PRIMARY KEY, action text, created_at timestamptz)")
    empty_database.execute("INSERT INTO activity (action, created_at) VALUES ('a.b', now())")
    arguments = ["--table", "activity", "--column", "occurred_at=created_at"]
    assert "a.b" in run(empty_database, "1", *arguments).stdout
    assert run(empty_database, "2", *arguments).exit_code == 1
    assert run(empty_database, "x", *arguments).exit_code == 2


def test_another_encoding_has_an_arrow_too(database: Database) -> None:
    """Where the terminal has no arrow, it is written with two characters."""
    insert(database, changes=Jsonb({"name": ["Ada", "Zoë"]}))
    output = CliRunner(charset="ascii").invoke(cli, ["show", ID, "--conninfo", database.owner]).stdout
    assert r'name: "Ada" -> "Zo\xeb"' in output
