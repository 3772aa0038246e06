"""`pglog-audit timeline`, run as its user runs it, against a real table."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import psycopg
import pytest
from click.testing import CliRunner, Result
from psycopg import sql
from psycopg.types.json import Jsonb

from pglog_audit.audit_event import EVENT_FIELDS
from pglog_audit.cli.commands import cli

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Database

NOW = datetime.now(UTC)
MAIN = [sys.executable, "-c", "from pglog_audit.cli import main; main()", "timeline"]


def insert(database: Database, **values: Any) -> None:
    row = {"action": "branding.update", "occurred_at": NOW} | values
    names, placeholders = map(sql.Identifier, row), map(sql.Placeholder, row)
    statement = sql.SQL("INSERT INTO audit_log ({}) VALUES ({})")
    with psycopg.connect(database.owner) as connection:
        connection.execute(statement.format(sql.SQL(", ").join(names), sql.SQL(", ").join(placeholders)), row)


def insert_many(database: Database, count: int) -> None:
    """Insert *count* events, numbered from the newest, of which several share a time."""
    database.execute(
        "INSERT INTO audit_log (action, occurred_at, message)"
        " SELECT 'ticket.sell', now() - (n / 7) * interval '1 second', repeat('x', 300) || n"
        " FROM generate_series(1, %s) n",
        count,
    )


def run(database: Database, *arguments: str, **environ: str) -> Result:
    return CliRunner().invoke(cli, ["timeline", *arguments, "--conninfo", database.owner], env=environ)


def rows(database: Database, *arguments: str) -> list[dict[str, Any]]:
    result = run(database, *arguments, "-o", "json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def start(database: Database, *arguments: str) -> subprocess.Popen[str]:
    environ = os.environ | {"PGLOG_AUDIT_CONNINFO": database.owner}
    command = [*MAIN, *arguments]
    return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the local time be that of Tokyo."""
    monkeypatch.setenv("TZ", "JST-9")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


class TestFilters:
    @pytest.mark.parametrize(
        ("option", "column", "value"),
        [
            ("--event", "event_id", uuid4()),
            ("--user", "user_id", uuid4()),
            ("--entity-type", "entity_type", "guest"),
            ("--target", "target_id", uuid4()),
            ("--request", "request_id", "req-7"),
            ("--tenant", "tenant_id", uuid4()),
            ("--outcome", "outcome", "denied"),
            ("--action", "action", "guest.check_in"),
        ],
    )
    def test_each_option_narrows(self, database: Database, option: str, column: str, value: Any) -> None:
        """Only the event with this value is shown."""
        insert(database)
        insert(database, **{column: value})
        assert [row[column] for row in rows(database, option, str(value))] == [str(value)]

    def test_options_are_joined_by_and(self, database: Database) -> None:
        """Each further option leaves fewer events."""
        user = uuid4()
        insert(database, user_id=user, outcome="denied", action="guest.check_in")
        insert(database, user_id=user, outcome="denied")
        insert(database, user_id=user)
        assert len(rows(database, "--user", str(user))) == 3
        assert len(rows(database, "--user", str(user), "--outcome", "denied")) == 2
        assert len(rows(database, "--user", str(user), "--outcome", "denied", "--action", "guest.check_in")) == 1

    def test_a_prefix_of_actions(self, database: Database) -> None:
        """All below it, and none that only begins with the same letters."""
        for action in ("branding.update", "branding.logo.remove", "brandings.list", "branding"):
            insert(database, action=action)
        assert {row["action"] for row in rows(database, "--action", "branding.*")} == {
            "branding.update",
            "branding.logo.remove",
        }

    def test_the_trails_own_rows_are_an_option(self, database: Database) -> None:
        """--lifecycle shows what the trail tells about itself."""
        insert(database, action="audit.start")
        assert rows(database) == []
        assert len(rows(database, "--lifecycle")) == 1

    def test_the_oldest_first(self, database: Database) -> None:
        """--reverse turns the order, over pages too."""
        for hours in (1, 3, 2):
            insert(database, action=f"hour.h{hours}", occurred_at=NOW - timedelta(hours=hours))
        result = run(database, "--reverse", "-n", "2", "-o", "json")
        assert [row["action"] for row in json.loads(result.stdout)] == ["hour.h3", "hour.h2"]
        assert result.stderr.startswith("There are newer events: repeat the command with --cursor ")
        cursor = result.stderr.split()[-1]
        assert [row["action"] for row in rows(database, "--reverse", "--cursor", cursor)] == ["hour.h1"]


class TestTimes:
    def test_since_and_until(self, database: Database) -> None:
        """From the first time on, before the second."""
        for minutes in (10, 90, 200):
            insert(database, action=f"minutes.m{minutes}", occurred_at=NOW - timedelta(minutes=minutes))
        assert [row["action"] for row in rows(database, "--since", "2h")] == ["minutes.m10", "minutes.m90"]
        assert [row["action"] for row in rows(database, "--until", "1h")] == ["minutes.m90", "minutes.m200"]
        assert [row["action"] for row in rows(database, "--since", "2h", "--until", "1h")] == ["minutes.m90"]

    def test_an_event_at_the_edge_is_on_one_side(self, database: Database) -> None:
        """Two questions that share a time share no event."""
        insert(database)
        edge = NOW.isoformat()
        assert (len(rows(database, "--since", edge)), len(rows(database, "--until", edge))) == (1, 0)

    def test_times_are_local_unless_asked_otherwise(self, database: Database, tokyo: None) -> None:
        """What is typed and what is shown is local time, or UTC with --utc."""
        insert(database, occurred_at="2026-03-02 23:30:00+00")
        day = ["--since", "2026-03-03", "--until", "2026-03-04"]
        assert [row["occurred_at"] for row in rows(database, *day)] == ["2026-03-03T08:30:00+09:00"]
        assert rows(database, *day, "--utc") == []
        utc = run(database, "--since", "2026-03-02", "--until", "2026-03-03", "--utc").stdout
        assert "2026-03-02" in utc
        assert "23:30:00+00:00" in utc
        assert "08:30:00+09:00" in run(database).stdout


class TestWrongUsage:
    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (["--since", "last week"], "--since is 'last week', which names no time: write 30m"),
            (["--until", "7y"], "--until is '7y', which names no time"),
            (["--since", "now", "--until", "1h"], "is not before until"),
            (["--outcome", "maybe"], "'maybe' is not one of 'success', 'failure', 'denied', 'unknown'"),
            (["--action", "*"], "a * may only end it, after a dot: branding.*"),
            (["--user", "me"], "user_id is nothing that its column can hold"),
            (["--limit", "0"], "0 is not in the range x>=1"),
            (["--cursor", "x"], "cursor 'x' is damaged"),
            (["--output", "xml"], "'xml' is not one of 'table', 'json', 'jsonl', 'csv'"),
            (["--column", "when=created_at"], "columns names when, which is no field"),
        ],
    )
    def test_exits_2_and_says_what_to_write(self, database: Database, arguments: list[str], told: str) -> None:
        """A value that can never work is told with what would."""
        result = run(database, *arguments)
        assert result.exit_code == 2
        assert told in result.stderr
        assert result.stdout == ""


class TestManyEvents:
    def test_a_large_limit_turns_the_pages(self, database: Database) -> None:
        """Each event comes once, in order, however many pages there are, and the cursor leads to the rest."""
        insert_many(database, 2300)
        result = run(database, "-n", "2100", "-o", "jsonl")
        events = [json.loads(line) for line in result.stdout.splitlines()]
        assert len({event["id"] for event in events}) == len(events) == 2100
        times = [(event["occurred_at"], event["id"]) for event in events]
        assert times == sorted(times, reverse=True)
        rest = rows(database, "-n", "5000", "--cursor", result.stderr.split()[-1])
        assert len({event["id"] for event in (*events, *rest)}) == 2300

    @pytest.mark.parametrize("output", ["table", "json", "jsonl", "csv"])
    def test_every_form_holds_all_pages(self, database: Database, output: str) -> None:
        """A header stands once, and JSON is one array."""
        insert_many(database, 1200)
        result = run(database, "-n", "9999", "-o", output)
        assert (result.exit_code, result.stderr) == (0, "")
        count = {
            "table": lambda text: text.count("ticket.sell") * (text.count("When") == 1),
            "json": lambda text: len(json.loads(text)),
            "jsonl": lambda text: len([json.loads(line) for line in text.splitlines()]),
            "csv": lambda text: len(list(csv.reader(io.StringIO(text, newline="")))) - 1,
        }
        assert count[output](result.stdout) == 1200

    @pytest.mark.parametrize("output", ["table", "json", "jsonl", "csv"])
    def test_a_reader_who_leaves_ends_it_quietly(self, database: Database, output: str) -> None:
        """Behind `| head` it ends as by SIGPIPE, and says nothing."""
        insert_many(database, 1500)
        with start(database, "-n", "1500", "-o", output) as process:
            assert process.stdout
            assert process.stderr
            process.stdout.readline()
            process.stdout.close()
            assert (process.wait(60), process.stderr.read()) == (141, "")

    @pytest.mark.parametrize("output", ["table", "csv"])
    def test_a_full_disk_is_told(self, database: Database, output: str) -> None:
        """What cannot be written is one line and status 5."""
        insert(database)
        with open("/dev/full", "wb") as full:
            done = subprocess.run(
                [*MAIN, "-o", output, "--conninfo", database.owner], stdout=full, stderr=subprocess.PIPE, text=True
            )
        assert (done.returncode, done.stderr) == (5, "Error: the output cannot be written: No space left on device\n")

    def test_ctrl_c_ends_it_quietly(self, database: Database) -> None:
        """In the middle of its output it ends as by SIGINT, and says nothing."""
        insert_many(database, 1500)
        with start(database, "-n", "1500", "-o", "jsonl") as process:
            assert process.stdout
            assert process.stderr
            # The first line shows that it writes; what follows is more than a pipe holds, so it cannot be done.
            assert json.loads(process.stdout.readline())["action"] == "ticket.sell"
            process.send_signal(signal.SIGINT)
            assert (process.wait(60), process.stderr.read()) == (130, "")


class TestForms:
    def test_a_table_tells_who_did_what(self, database: Database) -> None:
        """What support asks for first: who, what, when."""
        insert(database, user_label="Ada", message="Logo\x1b[2J replaced")
        result = run(database)
        assert (result.exit_code, result.stderr) == (0, "")
        for shown in ("Ada", "branding.update", NOW.astimezone().strftime("%H:%M:%S"), r"Logo\x1b[2J"):
            assert shown in result.stdout

    @pytest.mark.parametrize("output", ["json", "jsonl", "csv"])
    def test_what_is_for_programs_stands_alone_on_stdout(self, database: Database, output: str) -> None:
        """That there are more events is told on stderr."""
        for _ in range(2):
            insert(database)
        result = run(database, "-o", output, "-n", "1")
        assert "There are older events" not in result.stdout
        assert result.stderr.startswith("There are older events: repeat the command with --cursor ")

    def test_another_programs_table_is_read_by_its_names(self, database: Database) -> None:
        """--column says where the time stands there."""
        database.execute("CREATE TABLE trail (id int, created_at timestamptz, action text)")
        database.execute("INSERT INTO trail VALUES (7, '2026-03-02 09:41:07+00', 'branding.update')")
        [event] = rows(database, "--table", "trail", "--column", "occurred_at=created_at", "--utc")
        assert (event["id"], event["action"]) == ("7", "branding.update")
        assert event["occurred_at"] == "2026-03-02T09:41:07+00:00"

    def test_csv_is_for_spreadsheets(self, database: Database) -> None:
        """Every field and column of the user's is a cell, and no cell is a formula."""
        database.execute('ALTER TABLE audit_log ADD "=shop" text, ADD amount numeric')
        insert(database, message="=1+1", metadata=Jsonb({"a": 1}), **{"=shop": "@x", "amount": -2})
        header, row = csv.reader(io.StringIO(run(database, "-o", "csv").stdout, newline=""))
        assert header == [*EVENT_FIELDS, "'=shop", "amount"]
        values = dict(zip(header, row, strict=True))
        assert (values["message"], values["metadata"], values["'=shop"], values["amount"]) == (
            "'=1+1",
            '{"a": 1}',
            "'@x",
            "-2",
        )
        assert datetime.fromisoformat(values["occurred_at"]) == NOW

    @pytest.mark.parametrize(
        ("output", "stdout"),
        [("table", ""), ("json", "[]\n"), ("jsonl", ""), ("csv", ",".join(EVENT_FIELDS) + "\r\n")],
    )
    def test_no_event_is_a_sentence(self, database: Database, output: str, stdout: str) -> None:
        """An empty answer is a sentence for people, and an empty form for programs."""
        result = run(database, "-o", output)
        assert (result.exit_code, result.stdout_bytes.decode()) == (0, stdout)
        assert result.stderr == "No events in audit_log match.\n"

    @pytest.mark.parametrize("columns", ["80", "120", "200"])
    def test_each_event_tells_its_id(self, database: Database, columns: str) -> None:
        """Whatever the width, the id stands in one line, and show takes it."""
        ids = [uuid4() for _ in range(3)]
        for id_ in ids:
            insert(database, id=id_, user_id=uuid4(), event_id=uuid4(), request_id=str(uuid4()), message="Done " * 50)
        shown = re.findall(r"\bid (\S{36})$", run(database, COLUMNS=columns).stdout, re.MULTILINE)
        assert sorted(map(UUID, shown)) == sorted(ids)

    def test_a_piped_table_is_plain_and_whole(self, database: Database) -> None:
        """Where no terminal is, there are no colours, no pager, and 80 columns unless COLUMNS says otherwise."""
        insert_many(database, 60)
        insert(database, outcome="denied", message="Ω" * 500)
        with start(database, "-n", "100") as process:
            output, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")
        assert output.count("ticket.sell") == 60
        assert output.count("Ω") == 500
        assert max(map(len, output.splitlines())) == 80
        assert "\x1b" not in output
        assert "branding.update  denied" in output
