"""`maintain`, `retain` and `upgrade` as commands: what they say."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import psycopg
from click.testing import CliRunner

from pglog_audit import ddl, schema
from pglog_audit.cli.commands import cli
from pglog_audit.steps import STEPS

if TYPE_CHECKING:
    from tests.conftest import Database

MONTHLY = STEPS["monthly"]
THIS_MONTH = MONTHLY.begin(datetime.now(UTC))


def run(database: Database, *arguments: str) -> str:
    """Run a command as the owner, and return what it says."""
    result = CliRunner().invoke(cli, [*arguments, "--conninfo", database.owner])
    assert result.exit_code == 0, result.output
    return result.output


def drop(database: Database, *counts: int) -> list[str]:
    """Drop the months that lie so many after this one, and return their names."""
    names = [MONTHLY.name_of("audit_log", MONTHLY.after(THIS_MONTH, count)) for count in counts]
    for name in names:
        database.execute(f"DROP TABLE {name}")
    return names


ALL = "public.audit_log has partitions for this month and 12 months more.\n"


class TestMaintain:
    def test_of_a_whole_table(self, database: Database) -> None:
        """It says how far the table reaches."""
        assert run(database, "maintain") == ALL
        assert run(database, "maintain", "--dry-run") == "Nothing to do for public.audit_log.\n"

    def test_says_what_it_made_moved_and_put_right(self, database: Database) -> None:
        """A line for each kind; a dry run says the same of what would be done."""
        first, second = drop(database, 0, 1)
        database.execute("INSERT INTO audit_log (action) VALUES ('a.b'), ('a.c')")
        database.execute("ALTER TABLE audit_log_default DISABLE TRIGGER refuse_truncate")
        database.execute("DROP TRIGGER refuse_truncate ON audit_log")
        assert run(database, "maintain", "--dry-run").splitlines() == [
            "Would make trigger refuse_truncate on public.audit_log again, which is missing.",
            "Would make trigger refuse_truncate on public.audit_log_default again, which is not ENABLE ALWAYS.",
            f"Would make {first} and {second}.",
            "Would move 2 events from the default partition.",
        ]
        assert run(database, "maintain").splitlines() == [
            "Trigger refuse_truncate on public.audit_log was missing: it is as init makes it again.",
            "Trigger refuse_truncate on public.audit_log_default was not ENABLE ALWAYS: it is as init makes it again.",
            f"Made {first} and {second}.",
            "Moved 2 events from the default partition to theirs.",
            *ALL.splitlines(),
        ]

    def test_of_many_names_the_first_and_the_last(self, database: Database) -> None:
        """Ten years are one line."""
        names = [MONTHLY.name_of("audit_log", MONTHLY.after(THIS_MONTH, count)) for count in (13, 120)]
        assert run(database, "maintain", "--ahead", "120").startswith(
            f"Made 108 partitions, {names[0]} to {names[1]}.\n"
        )

    def test_of_days_speaks_of_days(self, empty_database: Database) -> None:
        """The words are those of the table's own step."""
        run(empty_database, "init", "--partitions", "daily")
        assert run(empty_database, "maintain") == "public.audit_log has partitions for today and 30 days more.\n"


class TestRetain:
    def test_says_what_goes(self, database: Database) -> None:
        """The dry run says it first."""
        database.execute(
            "CREATE TABLE past PARTITION OF audit_log FOR VALUES FROM ('2001-01-01Z') TO ('2001-02-01 12:00Z')"
        )
        database.execute(
            "INSERT INTO audit_log (action, occurred_at) VALUES ('a.b', '2001-01-05'), ('a.b', '1999-01-05')"
        )
        past = "past: from 2001-01-01 on, before 2001-02-01T12:00:00+00:00, 1 event."
        since = MONTHLY.begin(datetime.now(UTC)).replace(year=THIS_MONTH.year - 2)
        default = f"audit_log_default: before {since:%Y-%m-%d}, 1 event."
        told = run(database, "retain", "--keep", "24months", "--dry-run")
        assert told == f"Would drop {past}\nWould drop {default}\n"
        assert run(database, "retain", "--keep", "24months") == f"Dropped {past}\nDropped {default}\n"
        nothing = "Nothing goes: no partition is older than 24months as a whole.\n"
        assert run(database, "retain", "--keep", "24months") == nothing


class TestUpgrade:
    def test_says_from_what_to_what(self, empty_database: Database) -> None:
        """The second time there is nothing to do."""
        with psycopg.connect(empty_database.owner) as connection:
            connection.execute(ddl.setup("audit_log"))
            connection.execute(ddl.create_table("audit_log", {}, version=1))
        version = schema.VERSION
        assert run(empty_database, "upgrade") == f"public.audit_log has schema {version} now; it had 1.\n"
        again = f"public.audit_log has schema {version}, the newest that this pglog-audit knows.\n"
        assert run(empty_database, "upgrade") == again
