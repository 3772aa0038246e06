"""`retain`: what is older than it is kept goes with its partition, is told, and does not come back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
import pytest
from click.testing import CliRunner
from psycopg.conninfo import make_conninfo
from psycopg.types.json import Jsonb

from pglog_audit import AuditLog, ConfigurationError, SchemaError, ddl, schema
from pglog_audit.cli.commands import cli
from pglog_audit.maintenance import maintain
from pglog_audit.owned_table import OwnedTable
from pglog_audit.retention import Retained, _Retention, retain
from pglog_audit.steps import STEPS

if TYPE_CHECKING:
    from tests.conftest import Database

MONTHLY = STEPS["monthly"]
THIS_MONTH = MONTHLY.begin(datetime.now(UTC))
WRITER = UUID("019cae1f-95b9-7d30-a1c4-6f0b6f6a3c51")
OTHER = UUID("019cae1f-95b9-7d30-a1c4-6f0b6f6a3c52")
THIRD = UUID("019cae1f-95b9-7d30-a1c4-6f0b6f6a3c53")
READER = "retain_reader"
PARTITIONS = """
    SELECT relid::regclass::text AS name, pg_get_expr(relpartbound, pg_class.oid) AS bounds,
           obj_description(pg_class.oid) AS comment,
           array_agg(tgname || tgenabled::text || tgisinternal::text ORDER BY tgname) AS triggers
      FROM pg_partition_tree('audit_log') JOIN pg_class ON pg_class.oid = relid JOIN pg_trigger ON tgrelid = relid
     GROUP BY 1, 2, 3 ORDER BY 1
"""


def month(count: int) -> datetime:
    """Return the begin of the month that lies so many after this one."""
    return MONTHLY.after(THIS_MONTH, count)


def name(count: int) -> str:
    """Return the partition of that month."""
    return MONTHLY.name_of("audit_log", month(count))


@pytest.fixture
def database(database: Database) -> Database:
    """Give the table the six months before this one."""
    for count in range(-6, 0):
        database.execute(
            f"CREATE TABLE {name(count)} PARTITION OF audit_log"
            f" FOR VALUES FROM ('{month(count)}') TO ('{month(count + 1)}')"
        )
    with psycopg.connect(database.owner, autocommit=True) as connection:
        maintain(connection)
    return database


def insert(
    database: Database, in_month: int, *seqs: int, action: str = "a.b", writer: UUID = WRITER, **metadata: Any
) -> None:
    """Insert an event of that month for each of *seqs*."""
    with psycopg.connect(database.writer) as connection:
        connection.cursor().executemany(
            "INSERT INTO audit_log (action, writer_id, writer_seq, occurred_at, metadata) VALUES (%s, %s, %s, %s, %s)",
            [(action, writer, seq, month(in_month) + timedelta(seconds=seq), Jsonb(metadata)) for seq in seqs],
        )


def run(database: Database, keep: str = "3months", conninfo: str | None = None, **options: Any) -> list[Retained]:
    """Drop what is too old, and return it."""
    with psycopg.connect(conninfo or database.owner, autocommit=True) as connection:
        return list(retain(connection, keep, **options))


def partitions(database: Database) -> set[str]:
    """Return the names of the partitions."""
    rows = database.rows("SELECT relid::regclass::text AS name FROM pg_partition_tree('audit_log') WHERE isleaf")
    return {row["name"] for row in rows}


def missing(database: Database) -> list[tuple[Any, ...]]:
    """Return what gaps tells of missing events."""
    gaps = AuditLog(database.owner).gaps()
    return [(gap.kind, gap.writer_id, gap.first_seq, gap.last_seq, gap.reason) for gap in gaps if gap.kind != "tail"]


class TestDropping:
    def test_what_is_older_goes_and_the_rest_stays(self, database: Database) -> None:
        """A month goes when all of it is older; each is told with its bounds and its events."""
        for count in range(-6, 1):
            insert(database, count, 7 + count)
        gone = run(database)
        assert gone == [Retained(name(count), month(count), month(count + 1), 1) for count in (-6, -5, -4)]
        assert {row["writer_seq"] for row in database.rows()} == {4, 5, 6, 7}
        assert {name(-3), name(0), name(12), "audit_log_default"} < partitions(database)
        assert run(database) == []
        assert database.rows("SELECT to_regclass(%s) AS found", name(-6)) == [{"found": None}]

    def test_no_month_comes_back(self, database: Database) -> None:
        """No maintain makes one again, also where an older one was left and a late event lies in the default one."""
        run(database)
        insert(database, -5, 1)
        database.execute("CREATE TABLE old PARTITION OF audit_log FOR VALUES FROM ('2001-01-01') TO ('2001-02-01')")
        with psycopg.connect(database.owner, autocommit=True) as connection:
            assert maintain(connection).made == ()

    def test_a_dry_run_says_it_and_drops_nothing(self, database: Database) -> None:
        """What it tells is what a run then does."""
        insert(database, -6, 1, 2)
        insert(database, -20, 3)
        before = partitions(database)
        told = run(database, dry_run=True)
        assert partitions(database) == before
        assert [each.events for each in told] == [2, 0, 0, 1]
        assert run(database) == told

    def test_the_default_partition_is_relieved_of_what_is_too_old(self, database: Database) -> None:
        """Events from before all months go as well, once a month; what is kept stays, as it is."""
        insert(database, -40, 1)
        insert(database, -20, 2)
        database.execute("INSERT INTO audit_log (action, occurred_at) VALUES ('a.b', 'infinity'), ('a.b', '-infinity')")
        insert(database, 40, 3)
        [*_, default] = run(database)
        assert default == Retained("audit_log_default", None, month(-3), 3)
        assert database.rows("SELECT writer_seq FROM audit_log_default ORDER BY occurred_at") == [
            {"writer_seq": 3},
            {"writer_seq": None},
        ]
        assert database.rows("SELECT to_regclass('audit_log_default_old') AS found") == [{"found": None}]

    @pytest.mark.parametrize(
        ("keep", "limit"),
        [
            ("100 days", datetime.now(UTC) - timedelta(days=100)),
            ("9weeks", datetime.now(UTC) - timedelta(weeks=9)),
            ("1day", datetime.now(UTC) - timedelta(days=1)),
            ("2 months", month(-2)),
            ("1year", month(-12)),
        ],
    )
    def test_how_long(self, database: Database, keep: str, limit: datetime) -> None:
        """Days, weeks, months and years are those of the calendar."""
        assert [each.partition for each in run(database, keep)] == [
            name(count) for count in range(-6, 0) if month(count + 1) <= limit
        ]

    @pytest.mark.parametrize("keep", ["", "0months", "24", "months", "24m", "-1day", "1.5years", "24 months ago"])
    def test_what_is_no_time_is_refused(self, database: Database, keep: str) -> None:
        """Before anything is asked of the database."""
        with pytest.raises(ConfigurationError, match="write how long, such as 24months"):
            run(database, keep)

    def test_longer_than_there_was_a_calendar(self, database: Database) -> None:
        """Nothing is that old."""
        assert run(database, "99999years") == []

    def test_days(self, empty_database: Database) -> None:
        """Daily partitions go by the day."""
        with psycopg.connect(empty_database.owner) as connection:
            schema.init(connection, partitions="daily")
        today = STEPS["daily"].begin(datetime.now(UTC))
        for ago in (1, 2, 3, 4):
            begin = today - timedelta(days=ago)
            empty_database.execute(
                f"CREATE TABLE past_{ago} PARTITION OF audit_log FOR VALUES FROM ('{begin}')"
                f" TO ('{begin + timedelta(days=1)}')"
            )
        assert [each.partition for each in run(empty_database, "2days")] == ["past_4", "past_3"]


class TestTelling:
    def test_a_row_says_what_went_and_who_did_it(self, database: Database) -> None:
        """audit.retain has bounds, counts, and the role that connected, also where that acts as the owner."""
        database.execute("DROP ROLE IF EXISTS retain_operator; CREATE ROLE retain_operator LOGIN SUPERUSER")
        insert(database, -6, 1, 2)
        run(database, "5months", make_conninfo(database.owner, user="retain_operator"))
        database.execute("DROP ROLE retain_operator")
        [row] = database.rows("SELECT * FROM audit_log WHERE action = 'audit.retain'")
        assert (row["target_label"], row["user_label"]) == (name(-6), "retain_operator")
        times = {key: datetime.fromisoformat(row["metadata"].pop(key)) for key in ("from", "to")}
        assert times == {"from": month(-6), "to": month(-5)}
        assert row["metadata"] == {
            "partition": name(-6),
            "events": 2,
            "writers": 1,
            "session_user": "retain_operator",
        }

    def test_gaps_knows_what_was_retained(self, database: Database) -> None:
        """A writer that ran on misses its first numbers, and the reason is the partition that went."""
        insert(database, -4, *range(1, 6))
        insert(database, -3, 6, 7)
        assert missing(database) == []
        run(database)
        assert missing(database) == [("explained", WRITER, 1, 5, f"retention dropped {name(-4)}")]

    def test_the_widest_numbers_stop_nothing(self, database: Database) -> None:
        """A writer may give any numbers: what lies between them is no bigint any more, and still is counted."""
        widest = 2**63 - 1
        insert(database, -4, 0)
        with psycopg.connect(database.writer) as connection:
            connection.execute(
                "INSERT INTO audit_log (action, writer_id, writer_seq, occurred_at) VALUES ('a.b', %s, %s, %s)",
                [WRITER, widest, month(-4)],
            )
        insert(database, -3, 1)
        between = ("unexplained", WRITER, 2, widest - 1, None)
        assert missing(database) == [between]
        assert [each.events for each in run(database)] == [0, 0, 2]
        assert missing(database) == []
        insert(database, -3, 3)
        reasons = [(each[0], *each[2:4]) for each in missing(database)]
        assert reasons == [("unexplained", 2, 2)]

    def test_what_was_missing_before_still_is(self, database: Database) -> None:
        """Retention explains what it dropped, and no more."""
        insert(database, -4, 1, 2, 4, 5)
        insert(database, -3, 7)
        run(database)
        assert [each[::2] for each in missing(database)] == [
            ("explained", 1, f"retention dropped {name(-4)}"),
            ("unexplained", 3, None),
            ("explained", 4, f"retention dropped {name(-4)}"),
            ("unexplained", 6, None),
        ]

    def test_what_a_writer_explained_stays_explained(self, database: Database) -> None:
        """A row audit.gap that goes with its partition leaves its explanation."""
        insert(database, -4, 1, 4)
        insert(database, -4, 5, action="audit.gap", reason="queue full", ranges=[[2, 3]], count=2)
        insert(database, -3, 6)
        run(database)
        assert [(each[0], each[4]) for each in missing(database)] == [
            ("explained", f"retention dropped {name(-4)}"),
            ("explained", "queue full"),
            ("explained", f"retention dropped {name(-4)}"),
        ]

    def test_over_several_partitions_and_runs(self, database: Database) -> None:
        """A process that outlives what is kept, twice over, is explained from its first number on."""
        for count in range(-6, 1):
            insert(database, count, 2 * (count + 6) + 1, 2 * (count + 6) + 2)
        run(database, "5months")
        run(database, "1month")
        assert [(each[0], each[2], each[3]) for each in missing(database)] == [
            ("explained", n, n + 1) for n in (1, 3, 5, 7, 9)
        ]

    def test_a_writer_that_began_and_stopped_there_leaves_nothing(self, database: Database) -> None:
        """Of processes that are gone as a whole nothing must be kept; of those killed, who knows."""
        insert(database, -5, 0, 1, 2)
        insert(database, -5, 3, action="audit.stop", last_seq=2)
        insert(database, -5, 1, 2, 3, writer=OTHER)
        insert(database, -5, 1, 3, writer=THIRD)
        insert(database, -5, 4, action="audit.stop", writer=THIRD, last_seq=3)
        run(database)
        rows = database.rows("SELECT writer_id, events FROM audit_log_retained WHERE writer_id IS NOT NULL")
        assert {row["writer_id"]: row["events"] for row in rows} == {OTHER: 3, THIRD: 3}

    def test_a_writer_that_stops_and_goes_on(self, database: Database) -> None:
        """A listener that is stopped and started again, over the end of a month, is explained as well."""
        insert(database, -4, 1, 2)
        database.execute(
            "INSERT INTO audit_log (action, writer_id, writer_seq, occurred_at, metadata)"
            " VALUES ('audit.stop', %s, 3, %s, %s)",
            WRITER,
            month(-3) - timedelta(minutes=1),
            Jsonb({"last_seq": 2}),
        )
        insert(database, -3, 4)
        run(database)
        assert [each[:4] for each in missing(database)] == [("explained", WRITER, 1, 3)]

    def test_thousands_of_ranges(self, database: Database) -> None:
        """Of numbers that lie scattered the last range is widened, and the count stays exact."""
        insert(database, -4, *range(2, 5002, 2))
        insert(database, -3, *range(1, 5002, 2))
        run(database)
        assert {each[0] for each in missing(database)} == {"explained"}

    def test_a_reader_may_know_it(self, database: Database) -> None:
        """Whom init lets read asks for gaps as before."""
        database.execute(f"DROP ROLE IF EXISTS {READER}; CREATE ROLE {READER} LOGIN")
        with psycopg.connect(database.owner) as connection:
            schema.init(connection, reader=READER)
        insert(database, -4, 1)
        insert(database, -3, 2)
        run(database)
        gaps = AuditLog(make_conninfo(database.owner, user=READER)).gaps()
        assert [gap.kind for gap in gaps] == ["explained", "tail"]

    @pytest.mark.parametrize("statement", ["DELETE FROM", "UPDATE {} SET events = 0 --", "TRUNCATE"])
    def test_what_it_keeps_cannot_be_changed(self, database: Database, statement: str) -> None:
        """The record is as append-only as the log."""
        run(database)
        text = statement if "{}" in statement else statement + " {}"
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="is append-only"):
            database.execute(text.format("audit_log_retained"))


class KilledError(Exception):
    """What stands for the end of the process."""


class TestInterrupted:
    def test_what_shall_be_kept_now_is_not_dropped(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        """A run with less to keep took a month by mistake: it can be put back."""
        database.execute(
            "ALTER TABLE audit_log ADD \"100%%\" text DEFAULT '%%s',"
            " ADD doubled bigint GENERATED ALWAYS AS (writer_seq * 2) STORED"
        )
        insert(database, -6, 1, 2)
        insert(database, 40, 3)
        rows, catalog = database.rows(), database.rows(PARTITIONS)

        def die(*_: Any) -> Any:
            raise KilledError

        with monkeypatch.context() as patch:
            patch.setattr(_Retention, "finish", die)
            with pytest.raises(KilledError):
                run(database, "4months")
        assert len(database.rows()) == 1
        for dry_run in (True, False):
            [left] = run(database, "10years", dry_run=dry_run)
            assert (left.partition, left.events) == (name(-6), 2)
        result = CliRunner().invoke(cli, ["retain", "--keep", "10years", "--conninfo", database.owner])
        assert left.put_back
        assert result.output.startswith(f"Detached, by a run that was ended, is {name(-6)}: ")
        assert left.put_back in result.output
        assert len(database.rows()) == 1
        database.execute(left.put_back.replace("%", "%%"))
        assert (database.rows(), database.rows(PARTITIONS)) == (rows, catalog)
        assert run(database, "10years") == []
        assert run(database, "5months")[-1].events == 2

    def test_a_late_event_keeps_no_month_from_coming_back(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its rows come back beside the event, which lies in the default partition meanwhile."""
        insert(database, -6, 1, 2)

        def die(*_: Any) -> Any:
            raise KilledError

        with monkeypatch.context() as patch:
            patch.setattr(_Retention, "finish", die)
            with pytest.raises(KilledError):
                run(database, "4months")
        insert(database, -6, 3)
        [left] = run(database, "10years")
        assert left.put_back
        database.execute(left.put_back.replace("%", "%%"))
        assert sorted(row["writer_seq"] for row in database.rows()) == [1, 2, 3]
        assert run(database, "10years") == []

    @pytest.mark.parametrize("steps", range(3, 16))
    def test_at_any_step_the_next_call_goes_on(
        self, database: Database, monkeypatch: pytest.MonkeyPatch, steps: int
    ) -> None:
        """Killed before any of its transactions, it leaves nothing that the next call does not finish."""
        insert(database, -40, 1)
        insert(database, -6, 2, 3)
        insert(database, -5, 4)
        insert(database, 0, 5)
        change, done = OwnedTable.change, iter(range(steps))

        def die(owned: OwnedTable, work: Any) -> Any:
            if next(done, None) is None:
                raise KilledError
            return change(owned, work)

        monkeypatch.setattr(OwnedTable, "change", die)
        first: list[Retained] = []
        with suppress(KilledError), psycopg.connect(database.owner, autocommit=True) as connection:
            first.extend(retain(connection, "4months"))
        monkeypatch.setattr(OwnedTable, "change", change)
        run(database, "4months")
        told = database.rows("SELECT target_label FROM audit_log WHERE action = 'audit.retain' ORDER BY 1")
        assert [row["target_label"] for row in told] == sorted([name(-6), name(-5), "audit_log_default"])
        assert [(each[0], each[2], each[3]) for each in missing(database)] == [
            ("explained", 1, 1),
            ("explained", 2, 3),
            ("explained", 4, 4),
        ]
        assert [row["writer_seq"] for row in database.rows()] == [5]
        tables = database.rows("SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ '^audit_log'")
        assert {row["relname"] for row in tables} == partitions(database) | {"audit_log_retained"}

    def test_what_is_detached_is_guarded_until_it_goes(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Between the two steps nobody changes a row either."""
        insert(database, -6, 1)
        monkeypatch.setattr("pglog_audit.retention._Retention.finish", lambda *_: iter(()))
        run(database, "5months")
        for statement in ("DELETE FROM", "TRUNCATE"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="is append-only"):
                database.execute(f"{statement} {name(-6)}")

    def test_a_table_that_only_says_it_was_a_partition_stays(self, database: Database) -> None:
        """Of another owner's table nothing is dropped, whatever its comment says."""
        database.execute("DROP ROLE IF EXISTS retain_liar; CREATE ROLE retain_liar LOGIN")
        database.execute("GRANT CREATE ON SCHEMA public TO retain_liar")
        with psycopg.connect(make_conninfo(database.owner, user="retain_liar")) as liar:
            liar.execute("CREATE TABLE mine (occurred_at timestamptz)")
            mark = '{"table": "audit_log", "partition": "x", "begins": null, "ends": "2001-01-01"}'
            liar.execute(f"COMMENT ON TABLE mine IS 'pglog_audit retain {mark}'")
        run(database)
        assert database.rows("SELECT count(*) AS n FROM mine") == [{"n": 0}]

    def test_four_at_once(self, database: Database) -> None:
        """Each partition goes once, and is told once."""
        for count in range(-6, 1):
            insert(database, count, 7 + count)
        with ThreadPoolExecutor(4) as threads:
            gone = [each for done in threads.map(lambda _: run(database), range(4)) for each in done]
        assert sorted(each.partition for each in gone) == [name(-6), name(-5), name(-4)]
        assert database.rows("SELECT count(*) AS n FROM audit_log WHERE action = 'audit.retain'") == [{"n": 3}]


def test_a_table_of_schema_1_is_upgraded_first(empty_database: Database) -> None:
    """It has no place for what must be known of what went."""
    with psycopg.connect(empty_database.owner, autocommit=True) as connection, connection.transaction():
        connection.execute(ddl.setup("audit_log"))
        connection.execute(ddl.create_table("audit_log", {}, version=1))
    with pytest.raises(SchemaError, match="run pglog-audit upgrade"):
        run(empty_database)
