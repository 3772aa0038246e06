"""What the server does for a page: in ten years of months every question is read off an index, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import md5
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from pglog_audit import AuditLog, TimelinePage, schema
from tests.conftest import Database, _database

if TYPE_CHECKING:
    from pglog_audit.local_postgres import LocalPostgres

NOW = datetime.now(UTC)
HALF_HOUR = timedelta(minutes=30)
MONTHS = """
DO $months$
DECLARE
    this_month timestamp := date_trunc('month', now() AT TIME ZONE 'UTC');
    month timestamp;
    partition text;
BEGIN
    FOR month IN SELECT generate_series(this_month - interval '119 months', this_month - interval '1 day', '1 month')
    LOOP
        partition := to_char(month, '"audit_log_"YYYY_MM');
        EXECUTE format('CREATE TABLE %I (LIKE audit_log INCLUDING DEFAULTS)', partition);
        EXECUTE format(
            'ALTER TABLE audit_log ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
            partition, month || '+00', month + interval '1 month' || '+00'
        );
    END LOOP;
END
$months$
"""
NUMBER = """
CREATE FUNCTION number(kind text, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS
$$ SELECT format('%s-0000-7000-8000-%s', rpad(md5(kind), 8), lpad(to_hex(n), 12, '0'))::uuid $$
"""
ROWS = """
INSERT INTO audit_log (
    id, occurred_at, action, outcome, user_id, event_id, entity_type, target_id, request_id, tenant_id
)
SELECT number('id', n),
       occurred_at,
       entity || '.' || (ARRAY['create', 'update', 'delete', 'view'])[1 + n % 4],
       CASE WHEN n % 100 = 7 THEN 'failure' ELSE 'success' END,
       CASE WHEN n % 10 > 0 THEN number('user', hash % 1000) END,
       CASE WHEN n % 3 > 0 THEN number('event', hash / 7 % 500) END,
       entity,
       number('target', hash / 11 % 20000),
       'request ' || n / 2,
       number('tenant', hash / 13 % 50)
  FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS n
 CROSS JOIN LATERAL (
           SELECT hashint8(n)::bigint + 2147483648 AS hash,
                  %(newest)s - %(span)s * (n - %(first)s + 1) / (%(last)s - %(first)s + 1) AS occurred_at
       ) AS drawn
 CROSS JOIN LATERAL (
           SELECT CASE WHEN n %% 5000 = 0 THEN 'api_key'
                       ELSE (ARRAY['booking', 'guest', 'branding', 'team'])[1 + hash / 17 %% 4] END AS entity
       ) AS kind
""".replace(" % ", " %% ")
PARENTS = "SELECT inhrelid::regclass::text AS index, inhparent::regclass::text AS parent FROM pg_inherits"
AUTO_EXPLAIN = "log_min_duration = 0; log_analyze = on; log_buffers = on; log_timing = off; log_format = json"


@dataclass(frozen=True)
class Plan:
    """What the server did for one statement, as auto_explain told it while it ran."""

    root: dict[str, Any]
    parents: dict[str, str]

    def scans(self, node: dict[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """Return the nodes that read a partition; those that never ran are left out."""
        node = node or self.root
        if node["Actual Loops"] and "Relation Name" in node:
            yield node
        for child in node.get("Plans", ()):
            yield from self.scans(child)

    @property
    def buffers(self) -> int:
        """How many pages of the server's cache were looked at."""
        return int(self.root["Shared Hit Blocks"] + self.root["Shared Read Blocks"])

    def index(self, scan: dict[str, Any]) -> str:
        """Return the audit table's index that *scan* uses, or what it does without one."""
        name = next((node["Index Name"] for node in (scan, *scan.get("Plans", ())) if "Index Name" in node), "")
        return self.parents.get(name, scan["Node Type"]).removeprefix("audit_log_")


def touched(scan: dict[str, Any]) -> int:
    """Return how many rows *scan* looked at."""
    kept = [scan.get(key, 0) for key in ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck")]
    return round(sum(kept) * scan["Actual Loops"])


class Explained:
    """An AuditLog whose connection tells the plan of each of its statements."""

    def __init__(self, database: Database) -> None:
        self.plans: list[Plan] = []
        self.pool = ConnectionPool(database.owner, min_size=1, max_size=1, open=False, configure=self._configure)
        self.log = AuditLog(pool=self.pool)
        self.parents = {row["index"]: row["parent"] for row in database.rows(PARENTS)}

    def _configure(self, connection: psycopg.Connection) -> None:
        connection.autocommit = True
        connection.execute("LOAD 'auto_explain'")
        for setting in AUTO_EXPLAIN.split("; "):
            connection.execute(f"SET auto_explain.{setting}")
        connection.execute("SET client_min_messages = log")
        connection.add_notice_handler(self._take)

    def _take(self, notice: psycopg.errors.Diagnostic) -> None:
        told = json.loads((notice.message_primary or "").partition("plan:")[2])
        if "AS event" in told["Query Text"]:
            self.plans.append(Plan(told["Plan"], self.parents))

    def timeline(self, **question: Any) -> TimelinePage:
        """Ask, and keep the plans of this question alone."""
        self.plans.clear()
        return self.log.timeline(**question)

    def scans(self) -> list[dict[str, Any]]:
        """Return the nodes of all statements that read a partition."""
        return [scan for plan in self.plans for scan in plan.scans()]

    @property
    def buffers(self) -> int:
        """How many pages of the server's cache were looked at."""
        return sum(plan.buffers for plan in self.plans)

    @property
    def rows(self) -> int:
        """How many rows were looked at."""
        return sum(map(touched, self.scans()))

    @property
    def indexes(self) -> set[str]:
        """The indexes that gave rows."""
        return {plan.index(scan) for plan in self.plans for scan in plan.scans() if touched(scan)}

    @property
    def partitions(self) -> set[str]:
        """The partitions that were looked into, whether they gave a row or not."""
        return {scan["Relation Name"].removeprefix("audit_log_") for scan in self.scans()}


def number(kind: str, n: int) -> UUID:
    """Return the id that the rows have for the nth thing of a kind."""
    return UUID(f"{md5(kind.encode()).hexdigest()[:8]}-0000-7000-8000-{n:012x}")


@pytest.fixture(scope="module")
def decade(server: LocalPostgres) -> Iterator[Database]:
    """Make ten years of months up to now, with 200,000 rows, and 5,000 older ones in DEFAULT."""
    for database in _database(server, "template0"):
        with psycopg.connect(database.owner) as connection:
            schema.init(connection)
            connection.execute(MONTHS)
            connection.execute(NUMBER)
            old = {"first": 1, "last": 5_000, "newest": NOW - timedelta(days=3700), "span": timedelta(days=700)}
            known = {"first": 5_001, "last": 205_000, "newest": NOW, "span": timedelta(days=3600)}
            for values in (old, known):
                connection.execute(ROWS, values)
        database.execute("ANALYZE audit_log")
        database.execute("CREATE VIEW whole AS SELECT * FROM audit_log")
        yield database


@pytest.fixture
def explained(decade: Database) -> Iterator[Explained]:
    """Ask the ten years, and see how the server answers."""
    asked = Explained(decade)
    with asked.pool:
        yield asked


def since(days: int) -> dict[str, datetime]:
    return {"since": NOW - timedelta(days=days)}


THREE_MONTHS = since(900) | {"until": NOW - timedelta(days=810)}
USER, EVENT, TARGET, TENANT = (number(kind, 7) for kind in ("user", "event", "target", "tenant"))

# The indexes that may serve each question, and the most rows and buffers that a page of 50 may touch: what was measured
# and about half as much again. A rare answer costs two buffers in each of the 133 months.
QUESTIONS = {
    "everything": ({}, {"newest"}, 60, 60),
    "user": ({"user_id": USER}, {"by_user"}, 60, 220),
    "event": ({"event_id": EVENT}, {"by_event"}, 60, 200),
    "target": ({"target_id": TARGET}, {"by_target"}, 60, 420),
    "request": ({"request_id": "request 5999"}, {"by_request"}, 60, 420),
    "tenant": ({"tenant_id": TENANT}, {"by_tenant"}, 150, 120),
    "frequent kind": ({"entity_type": "guest"}, {"by_entity", "newest"}, 350, 60),
    "rare kind": ({"entity_type": "api_key"}, {"by_entity"}, 70, 460),
    "frequent action": ({"action": "guest.update"}, {"by_action", "newest"}, 1100, 80),
    "rare action": ({"action": "api_key.create"}, {"by_action"}, 70, 460),
    "frequent prefix": ({"action": "guest.*"}, {"newest"}, 350, 60),
    "rare prefix": ({"action": "api_key.*"}, {"by_action"}, 70, 430),
    "unknown prefix": ({"action": "nothing.*"}, set(), 0, 400),
    "lifecycle": ({"action": "audit.*"}, set(), 0, 400),
    "failure": ({"outcome": "failure"}, {"by_outcome"}, 80, 120),
    "success": ({"outcome": "success"}, {"newest"}, 80, 60),
    "failure or denied": ({"outcome": ["failure", "denied"]}, {"by_outcome"}, 80, 120),
    # All failures, to find that none is another outcome.
    "outcome of no row": ({"outcome": "denied"}, {"by_outcome"}, 3000, 3300),
    "time": (THREE_MONTHS, {"newest"}, 60, 20),
    "user since": ({"user_id": USER} | since(90), {"by_user"}, 20, 40),
    "user in three months": ({"user_id": USER} | THREE_MONTHS, {"by_user"}, 20, 40),
    "tenant since": ({"tenant_id": TENANT} | since(90), {"by_tenant"}, 150, 110),
    "failure since": ({"outcome": "failure"} | since(30), {"by_outcome"}, 40, 60),
    "kind and target": ({"entity_type": "guest", "target_id": TARGET}, {"by_target"}, 60, 420),
    # All failures of all tenants: 1 % of the table.
    "tenant and outcome": ({"tenant_id": TENANT, "outcome": "failure"}, {"by_outcome"}, 3000, 3300),
    "prefix in three months": ({"action": "guest.*"} | THREE_MONTHS, {"newest"}, 350, 30),
    "rare prefix in three months": ({"action": "api_key.*"} | THREE_MONTHS, {"by_action"}, 20, 30),
}


def pages(explained: Explained, question: dict[str, Any]) -> Iterator[TimelinePage]:
    """Return a first and a later page in both orders, each with its plans."""
    for reverse in (False, True):
        page = explained.timeline(**question, reverse=reverse)
        yield page
        if page.next_cursor:
            yield explained.timeline(**question, reverse=reverse, cursor=page.next_cursor)


def month(time: datetime) -> str:
    return f"{time:%Y_%m}"


class TestQuestions:
    @pytest.mark.parametrize("name", QUESTIONS)
    def test_are_read_off_an_index(self, explained: Explained, name: str) -> None:
        """Each question, in both orders and on later pages, uses its index and touches little more than its answer."""
        question, indexes, rows, buffers = QUESTIONS[name]
        for page in pages(explained, question):
            assert explained.indexes <= indexes
            assert len(page) <= explained.rows <= rows
            assert explained.buffers <= buffers

    def test_in_a_time_look_into_its_months_only(self, explained: Explained) -> None:
        """Months and net outside since and until are no part of the plan."""
        known = {month(THREE_MONTHS["since"] + timedelta(days=days)) for days in range(91)}
        for question in (THREE_MONTHS, THREE_MONTHS | {"user_id": USER}):
            for _ in pages(explained, question):
                assert explained.partitions <= known

    def test_end_with_the_months_that_fill_the_page(self, explained: Explained) -> None:
        """The newest page comes from the net, the months ahead and this one; the older ones are never opened."""
        assert len(explained.timeline(limit=20)) == 20
        assert {part for part in explained.partitions if part < month(NOW)} == set()
        assert len(explained.timeline(limit=20, reverse=True)) == 20
        assert explained.partitions == {"default"}

    def test_of_a_later_page_skip_the_months_before_it(self, explained: Explained) -> None:
        """What is newer than the cursor is no part of the plan, nor is the net."""
        first = explained.timeline(user_id=USER)
        explained.timeline(user_id=USER, cursor=first.next_cursor)
        assert first[-1].occurred_at
        assert max(explained.partitions) == month(first[-1].occurred_at)

    def test_of_a_rare_answer_reach_the_whole_time(self, explained: Explained) -> None:
        """Net, months ahead and months past: all of them are asked before the answer is said to be complete."""
        page = explained.timeline(target_id=TARGET, limit=1000)
        assert len(explained.partitions) == 120 + 12 + 1
        assert len(page) == len(AuditLog(explained.pool.conninfo, table="whole").timeline(target_id=TARGET, limit=1000))


def test_a_gap_between_the_months_is_asked_apart(empty_database: Database) -> None:
    """A month that is missing does not draw the net, and with it all other months, into every page."""
    months = [datetime(2026, number, 1, tzinfo=UTC) for number in range(1, 13)]
    empty_database.execute(
        "CREATE TABLE audit_log (id int NOT NULL, occurred_at timestamptz NOT NULL, action text)"
        " PARTITION BY RANGE (occurred_at);"
        "CREATE TABLE audit_log_default PARTITION OF audit_log DEFAULT;"
        "CREATE INDEX ON audit_log (occurred_at, id);"
    )
    for begin, end in pairwise(months):
        if begin.month != 6:
            empty_database.execute(
                f"CREATE TABLE audit_log_{month(begin)} PARTITION OF audit_log FOR VALUES FROM ('{begin}') TO ('{end}')"
            )
    empty_database.execute(
        "INSERT INTO audit_log SELECT n, '2026-11-30+00'::timestamptz - n * interval '30 minutes', 'a.b'"
        " FROM generate_series(1, 333 * 48) AS n"
    )
    empty_database.execute("ANALYZE audit_log")
    asked = Explained(empty_database)
    with asked.pool:
        assert len(asked.timeline(limit=20)) == 20
        assert asked.partitions == {"default", "2026_11"}
        assert len(asked.timeline(limit=20, reverse=True)) == 20
        assert asked.partitions == {"default", "2026_01"}
        page = asked.timeline(since=months[4], until=months[6], limit=1000)
        assert [event.occurred_at for event in page][::999] == [months[6] - HALF_HOUR, months[6] - 1000 * HALF_HOUR]


class TestOneEvent:
    def test_is_found_by_its_key(self, explained: Explained, decade: Database) -> None:
        """An id says no month: its place in the primary key of each is looked up until it is found."""
        explained.plans.clear()
        assert explained.log.event(number("id", 150_000))
        assert explained.indexes == {"pkey"}
        assert explained.rows == 1
        assert explained.buffers <= 400

    def test_that_is_not_there_costs_as_little(self, explained: Explained) -> None:
        """Nothing but the keys is read."""
        explained.plans.clear()
        assert explained.log.event(number("id", 999_999)) is None
        assert explained.rows == 0
        assert explained.buffers <= 400


class TestView:
    @pytest.mark.parametrize(
        ("condition", "indexes", "buffers"),
        [
            ("user_id = %(user)s", {"by_user"}, 700),
            ("event_id = %(event)s", {"by_event"}, 700),
            ("target_id = %(target)s", {"by_target"}, 500),
            ("tenant_id = %(tenant)s", {"by_tenant", "newest"}, 700),
            ("request_id = 'request 5999'", {"by_request"}, 500),
            ("entity_type = 'api_key'", {"by_entity"}, 500),
            ("action = 'api_key.create'", {"by_action"}, 500),
            ("action LIKE 'api\\_key.%%'", {"by_action"}, 500),
            ("outcome = 'failure'", {"by_outcome"}, 500),
            ("occurred_at BETWEEN %(since)s AND %(until)s", {"newest"}, 30),
            ("user_id = %(user)s AND occurred_at BETWEEN %(since)s AND %(until)s", {"by_user"}, 40),
        ],
    )
    def test_is_read_off_the_tables_indexes(
        self, explained: Explained, condition: str, indexes: set[str], buffers: int
    ) -> None:
        """Who asks in SQL, newest first, gets the same indexes as the timeline."""
        values = {"user": USER, "event": EVENT, "target": TARGET, "tenant": TENANT} | THREE_MONTHS
        query = f"SELECT * FROM audit_timeline AS event WHERE {condition} ORDER BY occurred_at DESC LIMIT 50"
        with explained.pool.connection() as connection:
            assert connection.execute(query, values).fetchall()
        assert explained.indexes <= indexes
        assert explained.rows <= 800
        assert explained.buffers <= buffers
