"""The gaps of the audit trail, found in a real table by a role that may only read."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg_pool import ConnectionPool

from pglog_audit import AuditLog, Gap, SchemaError, schema
from tests.support import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.conftest import Database

READER = "gaps_reader"
NOW = datetime.now(UTC)
WRITER = UUID("019cae1f-95b9-7d30-a1c4-6f0b6f6a3c51")
OTHER = UUID("019cae1f-95b9-7d30-a1c4-6f0b6f6a3c52")
BIGGEST = 2**63 - 1
START = {"host": "web-1", "pid": 4711}


def insert(
    database: Database,
    seqs: Iterable[int],
    action: str = "ticket.open",
    *,
    writer: UUID = WRITER,
    at: datetime = NOW,
    metadata: Any = None,
    **values: Any,
) -> None:
    """Insert a row for each of *seqs*, a second apart, as the owner of the table does by SQL."""
    names = ["action", "writer_id", "writer_seq", "occurred_at", "metadata", *values]
    places = ", ".join(["%s"] * len(names))
    with psycopg.connect(database.owner) as connection:
        connection.cursor().executemany(
            f"INSERT INTO audit_log ({', '.join(names)}) VALUES ({places})",
            [
                (action, writer, seq, at + n * timedelta(seconds=1), json.dumps(metadata or {}), *values.values())
                for n, seq in enumerate(seqs)
            ],
        )


def tell(database: Database, seq: int, *ranges: list[int], reason: str = "queue full", **values: Any) -> None:
    """Insert the gap row that says of *ranges* why they are missing."""
    count = sum(last - first + 1 for first, last in ranges)
    insert(database, [seq], "audit.gap", metadata={"reason": reason, "ranges": ranges, "count": count}, **values)


def stop(database: Database, last_seq: int, **values: Any) -> None:
    """Insert the row of a clean end."""
    insert(database, [last_seq + 1], "audit.stop", metadata={"last_seq": last_seq}, **values)


@pytest.fixture
def database(database: Database) -> Database:
    """Let a role read the table, and do nothing else."""
    database.execute(f"DROP ROLE IF EXISTS {READER}")
    database.execute(f"CREATE ROLE {READER} LOGIN")
    with psycopg.connect(database.owner) as connection:
        schema.init(connection, reader=READER)
    return database


@pytest.fixture
def log(database: Database) -> AuditLog:
    """Return the log as that role sees it."""
    return AuditLog(make_conninfo(database.owner, user=READER))


def told(gaps: Iterable[Gap]) -> list[tuple[Any, ...]]:
    """Return what is told of each gap, in short; the tail, which a writer without a stop has, is left out."""
    return [(gap.kind, gap.first_seq, gap.last_seq, gap.reason) for gap in gaps if gap.kind != "tail"]


def tails(gaps: Iterable[Gap]) -> list[tuple[UUID, int | None]]:
    """Return which writers have no end, and from which number on."""
    return [(gap.writer_id, gap.first_seq) for gap in gaps if gap.kind == "tail"]


class TestMissing:
    def test_a_whole_sequence_has_no_gap(self, database: Database, log: AuditLog) -> None:
        """Start, events and stop, all there: nothing is told."""
        insert(database, [0], "audit.start", metadata=START)
        insert(database, range(1, 10))
        stop(database, 9)
        gaps = log.gaps()
        assert list(gaps) == []
        assert gaps.writers == 1

    def test_without_lifecycle_rows_the_numbers_begin_with_1(self, database: Database, log: AuditLog) -> None:
        """The number 0 is no event's: a writer that does not tell of its start misses nothing."""
        insert(database, range(1, 4))
        assert told(log.gaps()) == []

    def test_missing_events_are_unexplained(self, database: Database, log: AuditLog) -> None:
        """Each range is told with the events around it, its number of events, and the writer's origin."""
        insert(database, [0], "audit.start", metadata=START, service="booking", at=NOW - timedelta(days=40))
        insert(database, [1, 2, 5, 9])
        [first, second, _] = log.gaps()
        assert first == Gap(
            kind="unexplained",
            writer_id=WRITER,
            first_seq=3,
            last_seq=4,
            count=2,
            after=NOW + timedelta(seconds=1),
            before=NOW + timedelta(seconds=2),
            host="web-1",
            pid=4711,
            service="booking",
        )
        assert (second.first_seq, second.last_seq, second.count) == (6, 8, 3)

    def test_a_missing_head_is_told(self, database: Database, log: AuditLog) -> None:
        """A writer whose first row is neither 0 nor 1 misses what came before."""
        insert(database, [4, 5])
        [gap, _] = log.gaps()
        assert (gap.kind, gap.first_seq, gap.last_seq, gap.after, gap.before) == ("unexplained", 1, 3, None, NOW)

    def test_a_gap_behind_the_start_is_told(self, database: Database, log: AuditLog) -> None:
        """Between 0 and the first event nothing may be missing either."""
        insert(database, [0], "audit.start", metadata=START)
        insert(database, [3])
        assert told(log.gaps()) == [("unexplained", 1, 2, None)]

    def test_each_writer_has_numbers_of_its_own(self, database: Database, log: AuditLog) -> None:
        """What is missing of one is not made up for by the other; the one that began last comes first."""
        insert(database, [1, 3])
        insert(database, [1, 2, 4], writer=OTHER)
        assert [(gap.writer_id, gap.first_seq) for gap in log.gaps() if gap.kind == "unexplained"] == [
            (OTHER, 3),
            (WRITER, 2),
        ]

    def test_rows_without_numbers_are_no_writers(self, database: Database, log: AuditLog) -> None:
        """What another program inserts by SQL has no sequence, and so no gaps."""
        database.execute("INSERT INTO audit_log (action) VALUES ('a.b')")
        database.execute("INSERT INTO audit_log (action, writer_id) VALUES ('a.b', %s)", WRITER)
        database.execute("INSERT INTO audit_log (action, writer_id, writer_seq) VALUES ('a.b', %s, -5)", WRITER)
        gaps = log.gaps()
        assert list(gaps) == []
        assert gaps.writers == 0

    def test_a_sequence_over_several_partitions_is_one(self, database: Database, log: AuditLog) -> None:
        """Months and the default partition are looked at together."""
        insert(database, [1, 2], at=NOW - timedelta(days=400))
        insert(database, [3, 4])
        insert(database, [5, 7], at=NOW + timedelta(days=40))
        assert told(log.gaps()) == [("unexplained", 6, 6, None)]


class TestExplained:
    def test_a_gap_row_explains(self, database: Database, log: AuditLog) -> None:
        """The range has the reason that the writer gave, and when and in which row it did."""
        insert(database, [1, 2, 6])
        tell(database, 7, [3, 5], at=NOW + timedelta(minutes=1))
        [gap, _] = log.gaps()
        [row] = database.rows("SELECT id FROM audit_log WHERE action = 'audit.gap'")
        assert (gap.kind, gap.first_seq, gap.last_seq, gap.count) == ("explained", 3, 5, 3)
        assert (gap.reason, gap.told_at, gap.gap_id) == ("queue full", NOW + timedelta(minutes=1), str(row["id"]))
        event = log.event(gap.gap_id or "")
        assert event is not None
        assert event.metadata["reason"] == "queue full"

    def test_what_no_gap_row_names_stays_unexplained(self, database: Database, log: AuditLog) -> None:
        """A missing range is cut where its explanation ends."""
        insert(database, [1, 10])
        tell(database, 11, [4, 6])
        assert told(log.gaps()) == [
            ("unexplained", 2, 3, None),
            ("explained", 4, 6, "queue full"),
            ("unexplained", 7, 9, None),
        ]

    def test_several_gap_rows_explain_together(self, database: Database, log: AuditLog) -> None:
        """Each part of a missing range has the reason of its own row."""
        insert(database, [1, 6])
        tell(database, 7, [2, 3])
        tell(database, 8, [4, 5], reason="refused")
        assert told(log.gaps()) == [("explained", 2, 3, "queue full"), ("explained", 4, 5, "refused")]

    def test_another_writers_gap_row_explains_nothing(self, database: Database, log: AuditLog) -> None:
        """A writer speaks for itself alone."""
        insert(database, [1, 3])
        tell(database, 1, [2, 2], writer=OTHER)
        assert told(log.gaps()) == [("unexplained", 2, 2, None)]

    def test_events_that_are_there_are_no_gap(self, database: Database, log: AuditLog) -> None:
        """A gap row that claims what is in the table after all tells nothing."""
        insert(database, range(1, 6))
        tell(database, 6, [2, 4])
        assert told(log.gaps()) == []

    def test_a_gap_row_explains_no_more_than_it_counts(self, database: Database, log: AuditLog) -> None:
        """A conflict names the batch and counts its losses: what is missing beyond them is unexplained."""
        insert(database, [1, 9])
        insert(database, [10], "audit.gap", metadata={"reason": "conflict", "ranges": [[1, 9]], "count": 3})
        assert told(log.gaps()) == [("explained", 2, 4, "conflict"), ("unexplained", 5, 8, None)]

    def test_a_missing_gap_row_is_a_gap(self, database: Database, log: AuditLog) -> None:
        """Gap rows have numbers too, so that none is taken away unseen."""
        insert(database, [1, 3])
        tell(database, 5, [2, 2])
        assert told(log.gaps()) == [("explained", 2, 2, "queue full"), ("unexplained", 4, 4, None)]


class TestTail:
    def test_a_writer_without_a_stop(self, database: Database, log: AuditLog) -> None:
        """Its end is unknown: who it is, and when it was last heard of."""
        insert(database, [0], "audit.start", metadata=START, service="booking", at=NOW - timedelta(days=1))
        insert(database, [1, 2])
        assert list(log.gaps()) == [
            Gap(
                kind="tail",
                writer_id=WRITER,
                first_seq=3,
                after=NOW + timedelta(seconds=1),
                host="web-1",
                pid=4711,
                service="booking",
            )
        ]

    def test_a_writer_of_which_only_the_start_is_there(self, database: Database, log: AuditLog) -> None:
        """It may have lost all its events."""
        insert(database, [0], "audit.start", metadata=START)
        assert tails(log.gaps()) == [(WRITER, 1)]

    def test_a_writer_that_started_and_stopped(self, database: Database, log: AuditLog) -> None:
        """Without any event it is whole."""
        insert(database, [0], "audit.start", metadata=START)
        stop(database, 0)
        assert list(log.gaps()) == []

    def test_a_writer_may_go_on_after_a_stop(self, database: Database, log: AuditLog) -> None:
        """Only a stop that is its last row ends it."""
        insert(database, [1])
        stop(database, 1)
        insert(database, [3])
        assert tails(log.gaps()) == [(WRITER, 4)]
        stop(database, 3)
        assert list(log.gaps()) == []

    def test_a_stop_whose_number_does_not_follow_ends_nothing(self, database: Database, log: AuditLog) -> None:
        """The stop says which event was the last, and its own number is the next."""
        insert(database, [1, 2])
        insert(database, [3], "audit.stop", metadata={"last_seq": 1})
        assert tails(log.gaps()) == [(WRITER, 4)]

    def test_the_events_before_a_stop_may_be_missing(self, database: Database, log: AuditLog) -> None:
        """A stop makes the end known, and so the gap before it."""
        insert(database, [1])
        stop(database, 5)
        assert told(log.gaps()) == [("unexplained", 2, 5, None)]
        assert tails(log.gaps()) == []


class TestRepeated:
    def test_several_rows_with_one_number(self, database: Database, log: AuditLog) -> None:
        """A number that is there twice is told, and how often."""
        insert(database, [1, 2, 2, 2, 3])
        [gap, _] = log.gaps()
        assert (gap.kind, gap.first_seq, gap.last_seq, gap.count) == ("repeated", 2, 2, 3)

    def test_a_repeated_number_hides_no_missing_one(self, database: Database, log: AuditLog) -> None:
        """As many rows as numbers are no proof that each number has a row."""
        insert(database, [1, 2, 2, 4])
        assert told(log.gaps()) == [("repeated", 2, 2, None), ("unexplained", 3, 3, None)]

    def test_a_number_behind_a_gap_may_be_repeated(self, database: Database, log: AuditLog) -> None:
        """Both are told."""
        insert(database, [1, 3, 3])
        assert told(log.gaps()) == [("unexplained", 2, 2, None), ("repeated", 3, 3, None)]


class TestQuestions:
    def test_since_chooses_writers_and_cuts_no_sequence(self, database: Database, log: AuditLog) -> None:
        """A writer with a row since then is looked at from its first number on; one without is not."""
        insert(database, [1, 3], at=NOW - timedelta(days=30))
        insert(database, [4, 6])
        insert(database, [1, 3], at=NOW - timedelta(days=30), writer=OTHER)
        gaps = log.gaps(since=NOW - timedelta(days=1))
        assert told(gaps) == [("unexplained", 2, 2, None), ("unexplained", 5, 5, None)]
        assert gaps.writers == 1

    @pytest.mark.parametrize("writer_id", [WRITER, str(WRITER).upper()])
    def test_one_writer(self, database: Database, log: AuditLog, writer_id: UUID | str) -> None:
        """Only its numbers are looked at."""
        insert(database, [1, 3])
        insert(database, [1, 3], writer=OTHER)
        gaps = log.gaps(writer_id=writer_id)
        assert {gap.writer_id for gap in gaps} == {WRITER}
        assert gaps.writers == 1

    def test_a_pool_gets_its_connection_back(self, database: Database) -> None:
        """After the last gap, and after a result that was not read to its end, the connection serves again."""
        insert(database, range(1, 10_000, 2))
        conninfo = make_conninfo(database.owner, user=READER)
        with ConnectionPool(conninfo, min_size=1, max_size=1) as pool:
            log = AuditLog(pool=pool)
            gaps = log.gaps()
            assert next(gaps).kind == "unexplained"
            gaps.close()
            assert list(gaps) == []
            assert len(list(log.gaps())) == 5_000

    def test_a_result_that_is_forgotten_holds_no_connection(self, database: Database, log: AuditLog) -> None:
        """What nobody refers to any more is closed."""
        insert(database, range(1, 10_000, 2))
        for _ in log.gaps():
            break
        wait_until(lambda: not database.rows("SELECT FROM pg_stat_activity WHERE usename = %s", READER))

    def test_columns_of_other_names(self, database: Database) -> None:
        """The columns of our fields may have any name, also one with a percent sign."""
        insert(database, [0], "audit.start", metadata=START, service="booking")
        insert(database, [1, 3])
        names = {
            "writer_id": "by%s",
            "writer_seq": "number",
            "occurred_at": "created at",
            "action": "verb",
            "metadata": "facts",
            "service": "app",
            "id": "key",
        }
        for field, name in names.items():
            database.execute(f'ALTER TABLE audit_log RENAME COLUMN {field} TO "{name.replace("%", "%%")}"')
        [gap, tail] = AuditLog(database.owner, columns=names).gaps(since=NOW - timedelta(days=1), writer_id=WRITER)
        assert (gap.first_seq, gap.host, gap.service, tail.kind) == (2, "web-1", "booking", "tail")


class TestOtherTables:
    def test_a_table_without_numbers_is_told(self, empty_database: Database) -> None:
        """Where no row carries a writer's number, the error says that gaps cannot be known, and why."""
        empty_database.execute("CREATE TABLE activity (id bigserial, action text NOT NULL)")
        with pytest.raises(SchemaError, match="no column writer_id, so nobody can know which events are missing"):
            list(AuditLog(empty_database.owner, table="activity").gaps())

    def test_a_table_that_has_the_numbers_and_little_else(self, empty_database: Database) -> None:
        """Times, reasons and origins are unknown there; which numbers are missing is not."""
        empty_database.execute("CREATE TABLE activity (action text NOT NULL, writer_id uuid, writer_seq integer)")
        empty_database.execute("INSERT INTO activity VALUES ('a.b', %s, 1), ('a.b', %s, 3)", WRITER, WRITER)
        assert list(AuditLog(empty_database.owner, table="activity").gaps()) == [
            Gap(kind="unexplained", writer_id=WRITER, first_seq=2, last_seq=2, count=1),
            Gap(kind="tail", writer_id=WRITER, first_seq=4),
        ]

    def test_row_level_security_makes_no_false_gaps(self, database: Database, log: AuditLog) -> None:
        """Rows that a policy hides from the role would look missing: the server refuses."""
        insert(database, [1, 2, 3])
        database.execute("ALTER TABLE audit_log ENABLE ROW LEVEL SECURITY")
        database.execute("CREATE POLICY even ON audit_log FOR SELECT USING (writer_seq <> 2)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
            list(log.gaps())


class TestHostileRows:
    @pytest.mark.parametrize(
        "metadata",
        [
            "null",
            "5",
            '"x"',
            "[]",
            "{}",
            '{"reason": "x", "count": 1}',
            '{"reason": "x", "ranges": null, "count": 1}',
            '{"reason": "x", "ranges": "1-9", "count": 1}',
            '{"reason": "x", "ranges": [1, 9], "count": 1}',
            '{"reason": "x", "ranges": [["1", "9"]], "count": 1}',
            '{"reason": "x", "ranges": [[1, 9223372036854775808]], "count": 1}',
            '{"reason": "x", "ranges": [[1, 1e1000]], "count": 1}',
            '{"reason": "x", "ranges": [[1, 1e100000]], "count": 1}',
            '{"reason": "x", "ranges": [[1, 9]], "count": 1e1000}',
            '{"reason": "x", "ranges": [[1, 9]], "count": -1}',
            '{"reason": "x", "ranges": ' + "[" * 5_000 + "1" + "]" * 5_000 + ', "count": 1}',
            '{"reason": "%s", "ranges": [[1, 9]], "count": 9}' % ("x" * 200_000),
        ],
        ids=lambda metadata: metadata[:60],
    )
    def test_a_forged_gap_row_explains_nothing(self, database: Database, log: AuditLog, metadata: str) -> None:
        """It is told as malformed, with its id and time, and what it claims stays unexplained."""
        insert(database, [1, 3])
        database.execute(
            "INSERT INTO audit_log (action, occurred_at, writer_id, writer_seq, metadata)"
            " VALUES ('audit.gap', %s, %s, 4, %s::jsonb)",
            NOW,
            WRITER,
            metadata,
        )
        [malformed, gap, _] = log.gaps()
        [row] = database.rows("SELECT id FROM audit_log WHERE action = 'audit.gap'")
        assert (malformed.kind, malformed.gap_id, malformed.told_at) == ("malformed", str(row["id"]), NOW)
        assert (gap.kind, gap.first_seq, gap.last_seq) == ("unexplained", 2, 2)

    def test_a_forged_gap_row_of_a_whole_writer_is_told(self, database: Database, log: AuditLog) -> None:
        """Also where nothing is missing, somebody forged a row."""
        insert(database, [1])
        insert(database, [2], "audit.gap", metadata={"ranges": "all"})
        assert told(log.gaps()) == [("malformed", None, None, None)]

    @pytest.mark.parametrize("seqs", [[BIGGEST], [1, BIGGEST], [0, BIGGEST, BIGGEST], [BIGGEST - 1, BIGGEST]])
    def test_the_biggest_number_overflows_nothing(self, database: Database, log: AuditLog, seqs: list[int]) -> None:
        """What is missing below the end of bigint is told as what it is."""
        insert(database, seqs)
        gap = next(gap for gap in log.gaps() if gap.kind == "unexplained")
        low, high = max(seqs[0] if len(seqs) > 1 and seqs[0] < 2 else 0, 0), BIGGEST - (seqs == [BIGGEST - 1, BIGGEST])
        assert (gap.first_seq, gap.last_seq, gap.count) == (low + 1, high - 1, high - 1 - low)
        assert tails(log.gaps()) == [(WRITER, BIGGEST + 1)]

    @pytest.mark.parametrize("last_seq", ["null", '"2"', "1e1000", '{"a": 1}', "[2]", "2.0"])
    def test_a_forged_stop_breaks_nothing(self, database: Database, log: AuditLog, last_seq: str) -> None:
        """Only the number of the last event, as a number, makes it a stop."""
        insert(database, [1, 2])
        database.execute(
            "INSERT INTO audit_log (action, writer_id, writer_seq, metadata) VALUES ('audit.stop', %s, 3, %s::jsonb)",
            WRITER,
            f'{{"last_seq": {last_seq}}}',
        )
        assert tails(log.gaps()) == ([] if last_seq == '"2"' else [(WRITER, 4)])

    @pytest.mark.parametrize(
        "metadata", ["null", "[]", '{"host": {"a": 1}, "pid": "x"}', '{"host": 5, "pid": 1e1000}', '{"pid": -5}']
    )
    def test_a_forged_start_breaks_nothing(self, database: Database, log: AuditLog, metadata: str) -> None:
        """A pid that is none is left out."""
        database.execute(
            "INSERT INTO audit_log (action, writer_id, writer_seq, metadata) VALUES ('audit.start', %s, 0, %s::jsonb)",
            WRITER,
            metadata,
        )
        [tail] = log.gaps()
        assert tail.pid is None
        assert tail.host is None or len(tail.host) < 256

    @pytest.mark.parametrize("time", ["infinity", "-infinity", "20000-01-01", "4713-01-01 BC"])
    def test_times_beyond_the_calendar_are_told_as_text(self, database: Database, log: AuditLog, time: str) -> None:
        """A row from no year that Python knows hides no gap."""
        for seq in (1, 3):
            database.execute(
                "INSERT INTO audit_log (action, writer_id, writer_seq, occurred_at) VALUES ('a.b', %s, %s, %s)",
                WRITER,
                seq,
                time,
            )
        [gap, _] = log.gaps()
        assert isinstance(gap.after, str)
        assert gap.after.startswith(time[:5])


@pytest.mark.volume
def test_half_a_million_rows_are_read_in_one_statement(database: Database) -> None:
    """Of a thousand writers over a year of months the few with gaps are found, and none has a question of its own."""
    database.execute(
        "INSERT INTO audit_log (action, writer_id, writer_seq, occurred_at)"
        " SELECT 'ticket.open', ('019cae1f-0000-7000-8000-' || lpad(to_hex(n / 1000), 12, '0'))::uuid, n %% 1000 + 1,"
        " now() + n * interval '1 minute'"
        " FROM generate_series(0, 499999) AS n WHERE n %% 100000 NOT BETWEEN 5 AND 9"
    )
    database.execute(
        "INSERT INTO audit_log (action, writer_id, writer_seq)"
        " SELECT 'audit.start', ('019cae1f-0000-7000-9000-' || lpad(n::text, 12, '0'))::uuid, 0"
        " FROM generate_series(1, 500) AS n"
    )
    statements: list[str] = []

    def listen(connection: psycopg.Connection) -> None:
        connection.autocommit = True
        connection.add_notice_handler(lambda notice: statements.append(notice.message_primary or ""))
        connection.execute("SET client_min_messages = log")
        connection.execute("SET log_statement = 'all'")

    with ConnectionPool(database.owner, min_size=1, max_size=1, configure=listen) as pool:
        gaps = AuditLog(pool=pool).gaps()
        found = list(gaps)
    assert gaps.writers == 1_000
    assert told(found) == [("unexplained", 6, 10, None)] * 5
    assert len(tails(found)) == 1_000
    assert sum('"audit_log" AS event' in statement for statement in statements) == 1
    assert len(statements) < 11
