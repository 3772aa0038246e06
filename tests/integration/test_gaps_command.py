"""`pglog-audit gaps`, run as its user runs it, and doctor's line about gaps."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
import pytest
from click.testing import CliRunner, Result
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.types.json import Jsonb

from pglog_audit.cli.commands import cli
from pglog_audit.doctor import Target, examine
from pglog_audit.doctor import gaps as doctor_gaps
from tests.hostile import ATTACKS, acting, is_formula

if TYPE_CHECKING:
    from tests.conftest import Database

WRITER = UUID("019cae1f-95b9-7d30-a1c4-6f0b6f6a3c51")
NOON = datetime(2026, 3, 2, 12, 0, 0, tzinfo=UTC)
LOST = {"reason": "queue full", "ranges": [[3, 5]], "count": 3}


def insert(database: Database, seq: int, action: str = "ticket.open", **values: Any) -> None:
    """Insert a row of the writer, at noon and *seq* seconds."""
    row = {"action": action, "writer_id": WRITER, "writer_seq": seq, "occurred_at": NOON + timedelta(seconds=seq)}
    row |= values
    row["metadata"] = Jsonb(row.get("metadata", {}))
    names, placeholders = map(sql.Identifier, row), map(sql.Placeholder, row)
    statement = sql.SQL("INSERT INTO audit_log ({}) VALUES ({})")
    with psycopg.connect(database.owner) as connection:
        connection.execute(statement.format(sql.SQL(", ").join(names), sql.SQL(", ").join(placeholders)), row)


def insert_several(database: Database) -> None:
    """Insert a writer with a gap of each kind."""
    insert(database, 0, "audit.start", metadata={"host": "web-1", "pid": 4711}, service="booking")
    for seq in (1, 2, 6, 9, 9):
        insert(database, seq)
    insert(database, 10, "audit.gap", metadata=LOST)
    insert(database, 11, "audit.gap", metadata={"ranges": "all"})


def run(database: Database, *arguments: str, **environ: str) -> Result:
    return CliRunner().invoke(cli, ["gaps", *arguments, "--conninfo", database.owner], env=environ)


def kinds(database: Database, *arguments: str) -> list[str]:
    return [gap["kind"] for gap in json.loads(run(database, *arguments, "-o", "json").stdout)]


class TestStatus:
    def test_nothing_unexplained_is_a_success(self, database: Database) -> None:
        """A gap that its writer explains fails nothing, and a writer without a stop neither; both are told."""
        insert(database, 1)
        insert(database, 2)
        insert(database, 6, "audit.gap", metadata=LOST)
        result = run(database)
        assert result.exit_code == 0
        assert result.stderr == (
            "1 writer looked at: no event missing without an explanation; 3 events missing with one; "
            "1 writer without a stop: running, or killed.\n"
        )

    def test_an_unexplained_gap_fails(self, database: Database) -> None:
        """Exit status 1 for whoever runs it by cron."""
        insert(database, 1)
        insert(database, 3)
        result = run(database)
        assert result.exit_code == 1
        assert result.stderr.startswith("1 writer looked at: 1 event missing without an explanation;")

    def test_a_gap_beyond_the_limit_fails_too(self, database: Database) -> None:
        """The status is that of all, also where few are shown, and how many are not shown is told."""
        insert_several(database)
        result = run(database, "-n", "1", "-o", "jsonl")
        assert (result.exit_code, json.loads(result.stdout)["kind"]) == (1, "malformed")
        assert result.stderr.endswith("1 are shown, of 5: repeat the command with a higher --limit\n")

    def test_an_empty_table_is_a_success(self, database: Database) -> None:
        """No writer, no gap."""
        result = run(database)
        assert (result.exit_code, result.stdout) == (0, "")
        assert result.stderr == "0 writers looked at: no event missing without an explanation.\n"

    def test_an_unknown_writer_is_not_found(self, database: Database) -> None:
        """A misspelt id does not pass for a writer without gaps."""
        insert(database, 1)
        result = run(database, "--writer", str(UUID(int=7)))
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr == f"Error: no row in audit_log is of the writer {UUID(int=7)}\n"

    @pytest.mark.parametrize("arguments", [["--writer", "me"], ["--since", "soon"], ["--limit", "0"]])
    def test_wrong_usage(self, database: Database, arguments: list[str]) -> None:
        """What can never be answered is refused before the table is read."""
        assert run(database, *arguments).exit_code == 2

    def test_a_table_without_numbers(self, database: Database) -> None:
        """Exit status 4, and why gaps cannot be known."""
        database.execute("CREATE TABLE activity (id bigserial, action text NOT NULL)")
        result = run(database, "--table", "activity")
        assert (result.exit_code, result.stdout) == (4, "")
        assert "table activity has no column writer_id, so nobody can know which events are missing" in result.stderr

    def test_row_level_security(self, database: Database) -> None:
        """Exit status 4 where rows may be hidden from this role."""
        database.execute("ALTER TABLE audit_log ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
        database.execute("DROP ROLE IF EXISTS gaps_auditor")
        database.execute("CREATE ROLE gaps_auditor LOGIN")
        database.execute("GRANT SELECT ON audit_log TO gaps_auditor")
        conninfo = make_conninfo(database.owner, user="gaps_auditor")
        result = CliRunner().invoke(cli, ["gaps", "--conninfo", conninfo])
        assert result.exit_code == 4
        assert "row-level security" in result.stderr


class TestOutput:
    def test_lines_to_read(self, database: Database) -> None:
        """Below the writer and its origin stands a line for each gap."""
        insert_several(database)
        [row] = database.rows("SELECT id FROM audit_log WHERE writer_seq = 11")
        assert run(database, "--utc", COLUMNS="130").stdout.splitlines() == [
            f"writer {WRITER}",
            "  origin       booking on web-1 pid 4711",
            f"  malformed    gap row {row['id']} of 2026-03-02 12:00:11+00:00 explains nothing: no writer wrote it",
            "  explained    3 to 5, 3 events: queue full, told 2026-03-02 12:00:10+00:00",
            "  unexplained  7 to 8, 2 events: after 2026-03-02 12:00:06+00:00, before 2026-03-02 12:00:09+00:00",
            "  repeated     9: 2 rows",
            "  tail         from 12 on: no stop; the last row is of 2026-03-02 12:00:11+00:00",
        ]

    def test_a_single_event_and_a_head(self, database: Database) -> None:
        """A number alone is no range, and before a writer's first row there is nothing."""
        insert(database, 2)
        assert run(database, "--utc").stdout.splitlines()[:2] == [
            f"writer {WRITER}",
            "  unexplained  1: before 2026-03-02 12:00:02+00:00",
        ]

    def test_lines_that_are_too_long(self, database: Database) -> None:
        """They go on below themselves."""
        insert(database, 1)
        insert(database, 4)
        assert run(database, "--utc", COLUMNS="60").stdout.splitlines()[1:3] == [
            "  unexplained  2 to 3, 2 events: after 2026-03-02",
            "               12:00:01+00:00, before 2026-03-02",
        ]

    @pytest.mark.parametrize("output", ["json", "jsonl"])
    def test_json_has_every_field(self, database: Database, output: str) -> None:
        """A program gets each gap as it is, in an array or line by line."""
        insert_several(database)
        text = run(database, "--utc", "-o", output).stdout
        gaps = json.loads(text) if output == "json" else [json.loads(line) for line in text.splitlines()]
        [row] = database.rows("SELECT id FROM audit_log WHERE writer_seq = 10")
        assert gaps[1] == {
            "kind": "explained",
            "writer_id": str(WRITER),
            "first_seq": 3,
            "last_seq": 5,
            "count": 3,
            "reason": "queue full",
            "gap_id": str(row["id"]),
            "told_at": "2026-03-02T12:00:10+00:00",
            "after": "2026-03-02T12:00:02+00:00",
            "before": "2026-03-02T12:00:06+00:00",
            "host": "web-1",
            "pid": 4711,
            "service": "booking",
        }

    def test_csv_has_every_field(self, database: Database) -> None:
        """The header names the fields that JSON has."""
        insert_several(database)
        header, *lines = csv.reader(io.StringIO(run(database, "--utc", "-o", "csv").stdout))
        [first, *_] = json.loads(run(database, "--utc", "-o", "json").stdout)
        assert header == list(first)
        assert dict(zip(header, lines[1], strict=True))["reason"] == "queue full"
        assert len(lines) == 5

    @pytest.mark.parametrize("output", ["table", "json", "jsonl", "csv"])
    def test_what_rows_hold_does_nothing(self, database: Database, output: str) -> None:
        """Neither a forged reason nor a forged origin acts on the terminal or in the spreadsheet of who reads it."""
        for number, attack in enumerate(ATTACKS):
            writer = UUID(int=number + 1)
            start = {"host": attack, "pid": attack}
            insert(database, 0, "audit.start", writer_id=writer, metadata=start, service=attack)
            insert(
                database, 2, "audit.gap", writer_id=writer, metadata={"reason": attack, "ranges": [[1, 1]], "count": 1}
            )
        text = run(database, "-n", "1000", "-o", output).stdout
        assert text.count("explained") == len(ATTACKS)
        assert acting(text, "\r\n") == set()
        if output == "csv":
            assert [c for row in csv.reader(io.StringIO(text)) for c in row if is_formula(c)] == []

    @pytest.mark.parametrize("columns", ["20", "80"])
    def test_no_reason_can_pass_for_another_line(self, database: Database, columns: str) -> None:
        """What a row says never stands at the left edge, where the next writer begins."""
        forged = f"x\nwriter {WRITER} " + "writer x " * 50
        insert(database, 0, "audit.start", metadata={"host": forged}, service=forged)
        insert(database, 2, "audit.gap", metadata={"reason": forged, "ranges": [[1, 1]], "count": 1})
        lines = run(database, COLUMNS=columns).stdout.splitlines()
        assert [line[:7] for line in lines if not line.startswith("  ")] == ["writer "]


class TestQuestions:
    def test_unexplained_alone(self, database: Database) -> None:
        """What has a reason, and what is no missing event, is left out; the sentence still tells of all."""
        insert_several(database)
        assert kinds(database, "--unexplained") == ["unexplained"]
        assert "3 events missing with one" in run(database, "--unexplained").stderr

    def test_since(self, database: Database) -> None:
        """Only writers with a row since then, each with all its numbers."""
        for seq in (1, 3):
            insert(database, seq)
            insert(database, seq, writer_id=UUID(int=7), occurred_at=NOON - timedelta(days=30))
        found = json.loads(run(database, "--since", "2026-03-02T12:00:03", "--utc", "-o", "json").stdout)
        assert {gap["writer_id"] for gap in found} == {str(WRITER)}
        assert [gap["kind"] for gap in found] == ["unexplained", "tail"]

    def test_one_writer(self, database: Database) -> None:
        """Only its gaps are told."""
        insert(database, 1)
        insert(database, 1, writer_id=UUID(int=7))
        found = json.loads(run(database, "--writer", str(WRITER), "-o", "json").stdout)
        assert [gap["writer_id"] for gap in found] == [str(WRITER)]

    def test_an_explanation_that_was_found_later(self, database: Database) -> None:
        """Whoever may insert by SQL can say why events are missing, in a row that has no number itself."""
        insert(database, 1)
        insert(database, 6)
        assert run(database).exit_code == 1
        metadata = {"reason": "disk of db-2 restored", "ranges": [[2, 5]], "count": 4}
        insert(database, 0, "audit.gap", metadata=metadata, writer_seq=None)
        assert run(database).exit_code == 0


class TestDoctor:
    def finding(self, conninfo: str) -> Any:
        """Return the line about gaps of an examination."""
        return next(each for each in examine(Target(conninfo, "the test")).findings if each.name == "gaps")

    def test_nothing_missing(self, database: Database) -> None:
        """The line is ok, and says of how many writers."""
        insert(database, 1, occurred_at=datetime.now(UTC))
        found = self.finding(database.owner)
        assert (found.status, found.text) == ("ok", "nothing is missing, of 1 writer of the last 31 days")

    def test_explained_gaps_are_no_fault(self, database: Database) -> None:
        """Doctor says that there are some, and which command shows them."""
        for seq in (1, 2):
            insert(database, seq, occurred_at=datetime.now(UTC))
        insert(database, 6, "audit.gap", metadata=LOST)
        found = self.finding(database.owner)
        assert (found.status, found.text) == (
            "ok",
            "what is missing is explained, for 1 writer of the last 31 days",
        )
        assert found.advice == "pglog-audit gaps --since 31d shows why, of 3 in all."

    def test_unexplained_gaps_are_wrong(self, database: Database) -> None:
        """Doctor counts the events and names the command to look."""
        for seq in (1, 4):
            insert(database, seq, occurred_at=datetime.now(UTC))
        found = self.finding(database.owner)
        assert (found.status, found.text) == (
            "wrong",
            "2 events are missing and no row says why, of 1 of 1 writer of the last 31 days",
        )
        assert found.advice.startswith("pglog-audit gaps --since 31d --unexplained shows which.")

    def test_gaps_of_long_ago_are_history(self, database: Database) -> None:
        """A writer without a row in the last weeks is not looked at, and where there is no other, the line says so."""
        for seq in (1, 4):
            insert(database, seq, occurred_at=datetime.now(UTC) - timedelta(days=40))
        found = self.finding(database.owner)
        assert (found.status, found.text) == ("ok", "no writer has a row of the last 31 days")

    def test_who_may_not_read_cannot_know(self, database: Database) -> None:
        """The application's role sees no gaps, which is no failure."""
        assert self.finding(database.writer).status == "hidden"

    def test_a_table_that_takes_too_long(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        """The server ends the question after some seconds, and the line says that the answer is not known."""
        monkeypatch.setattr(doctor_gaps, "_SECONDS", 0.001)
        database.execute(
            "INSERT INTO audit_log (action, occurred_at, writer_id, writer_seq)"
            f" SELECT 'ticket.open', now(), '{WRITER}', n FROM generate_series(1, 20000) AS n"
        )
        found = self.finding(database.owner)
        assert (found.status, found.text) == ("hidden", "not known after 0.001 s of reading the table")

    def test_a_month_without_end(self, database: Database) -> None:
        """A partition that ends beyond Python's calendar is read like all others."""
        for statement in (
            "DROP TABLE audit_log_default",
            "CREATE TABLE audit_log_rest PARTITION OF audit_log FOR VALUES FROM ('2100-01-01') TO ('infinity')",
            "CREATE TABLE audit_log_default PARTITION OF audit_log DEFAULT",
        ):
            database.execute(statement)
        for seq in (1, 4):
            insert(database, seq, occurred_at=datetime.now(UTC))
        assert self.finding(database.owner).status == "wrong"

    def test_without_numbers_nothing_is_known(self, database: Database) -> None:
        """Where somebody dropped the column, the line says so."""
        database.execute("ALTER TABLE audit_log DROP COLUMN writer_seq")
        found = self.finding(database.owner)
        assert found.status == "hidden"
        assert "no column writer_seq" in found.text
