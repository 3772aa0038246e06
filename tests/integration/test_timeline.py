"""What is in the audit table is what the timeline tells, page by page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import psycopg
import pytest
from click.testing import CliRunner, Result
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool

from pglog_audit import AuditEvent, AuditLog, ConfigurationError, SchemaError, schema
from pglog_audit.cli.timeline import timeline

if TYPE_CHECKING:
    from pglog_audit.local_postgres import LocalPostgres
    from tests.conftest import Database

NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=123456)
NARROW = (
    "CREATE TABLE trail (id bigint GENERATED ALWAYS AS IDENTITY, created_at timestamptz DEFAULT now(), user_id bigint, "
    "event_id text, action text, entity_type text, target_id uuid, metadata jsonb, request_id text)"
)


def insert(database: Database, *, table: str = "audit_log", **values: Any) -> None:
    row = {"action": "branding.update", "occurred_at": NOON} | values
    names, placeholders = map(sql.Identifier, row), map(sql.Placeholder, row)
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        sql.Identifier(table), sql.SQL(", ").join(names), sql.SQL(", ").join(placeholders)
    )
    with psycopg.connect(database.owner) as connection:
        connection.execute(statement, row)


def pages(log: AuditLog, **question: Any) -> Iterator[list[AuditEvent]]:
    cursor = None
    while True:
        page = log.timeline(cursor=cursor, **question)
        yield list(page)
        cursor = page.next_cursor
        if cursor is None:
            return


def actions(log: AuditLog, **question: Any) -> list[str]:
    return [event.action for event in log.timeline(**question)]


def run(database: Database, *arguments: str) -> Result:
    return CliRunner().invoke(timeline, [*arguments, "--conninfo", database.owner], catch_exceptions=False)


class TestEvents:
    def test_a_row_comes_back_whole(self, database: Database) -> None:
        """Every field is what the row holds: ids, JSON as Python objects, the address as text."""
        ids = ("id", "user_id", "event_id", "target_id", "tenant_id", "impersonator_id", "writer_id")
        texts = (
            "user_label",
            "entity_type",
            "target_label",
            "message",
            "request_id",
            "user_agent",
            "trace_id",
            "service",
        )
        values = {name: uuid4() for name in ids} | {name: f"the {name}" for name in texts}
        values |= {"action": "a.b", "outcome": "denied", "source_ip": "10.0.0.1", "writer_seq": 7}
        values |= {"occurred_at": NOON, "recorded_at": NOON + timedelta(seconds=1)}
        json_values = {"metadata": {"a": [1, None, {"ü": True}]}, "changes": {"name": ["x", "y"]}}
        insert(database, **values, **{name: Jsonb(value) for name, value in json_values.items()})
        assert list(AuditLog(database.owner).timeline()) == [AuditEvent(**values, **json_values)]

    def test_the_newest_comes_first(self, database: Database) -> None:
        """The order is that of what happened, not that of writing."""
        for hours in (2, 0, 3, 1):
            insert(database, action=f"hour.{hours}", occurred_at=NOON + timedelta(hours=hours))
        assert actions(AuditLog(database.owner)) == ["hour.3", "hour.2", "hour.1", "hour.0"]

    def test_an_empty_table_has_an_empty_page(self, database: Database) -> None:
        """No events are no error."""
        page = AuditLog(database.owner).timeline()
        assert (len(page), page.next_cursor) == (0, None)

    def test_the_trails_own_rows_are_hidden_unless_asked_for(self, database: Database) -> None:
        """Who did what is the question; the writer's starts and gaps answer another one."""
        for action in ("audit.start", "auditor.invite"):
            insert(database, action=action)
        log = AuditLog(database.owner)
        assert actions(log) == ["auditor.invite"]
        assert sorted(actions(log, include_lifecycle=True)) == ["audit.start", "auditor.invite"]

    def test_the_environment_names_the_database(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without conninfo the reader looks where the writer looks."""
        insert(database)
        monkeypatch.setenv("PGLOG_AUDIT_CONNINFO", database.owner)
        assert len(AuditLog().timeline()) == 1


class TestPages:
    @pytest.mark.parametrize("limit", [1, 4, 5, 20])
    def test_events_of_the_same_microsecond_come_once(self, database: Database, limit: int) -> None:
        """Neither skipped nor doubled, wherever the page ends."""
        ids = [uuid4() for _ in range(20)]
        for number, id_ in enumerate(ids):
            insert(database, id=id_, occurred_at=NOON + timedelta(microseconds=number // 8))
        seen = list(pages(AuditLog(database.owner), limit=limit))
        assert sorted(event.id for page in seen for event in page if event.id) == sorted(ids)
        assert {len(page) for page in seen} == {limit}

    def test_new_events_shift_nothing(self, database: Database) -> None:
        """What is written between two pages neither repeats nor hides an older event."""
        for number in range(4):
            insert(database, action=f"old.n{number}", occurred_at=NOON - timedelta(minutes=number))
        log = AuditLog(database.owner)
        first = log.timeline(limit=2)
        insert(database, action="new.one", occurred_at=NOON + timedelta(minutes=1))
        assert actions(log, cursor=first.next_cursor) == ["old.n2", "old.n3"]

    def test_the_cursor_is_url_safe(self, database: Database) -> None:
        """A page's end can stand in a link as it is."""
        for _ in range(2):
            insert(database)
        cursor = AuditLog(database.owner).timeline(limit=1).next_cursor
        assert cursor
        assert cursor.replace("-", "").replace("_", "").isalnum()

    def test_the_sessions_time_zone_changes_no_page(self, database: Database) -> None:
        """A cursor goes on at the same event whatever zone the next session has."""
        for number in range(3):
            insert(database, action=f"zone.n{number}", occurred_at=NOON - timedelta(seconds=number))
        cursor = AuditLog(f"{database.owner} options='-c TimeZone=Asia/Kolkata'").timeline(limit=1).next_cursor
        log = AuditLog(f"{database.owner} options='-c TimeZone=America/St_Johns'")
        assert actions(log, cursor=cursor) == ["zone.n1", "zone.n2"]

    def test_a_cursor_skips_the_months_after_it(self, database: Database) -> None:
        """The server opens no partition that is newer than the cursor."""
        for number in range(2):
            insert(database, occurred_at=NOON - timedelta(seconds=number))
        plans: list[str] = []

        def explain(connection: psycopg.Connection) -> None:
            connection.autocommit = True
            connection.execute("LOAD 'auto_explain'")
            connection.execute("SET auto_explain.log_min_duration = 0; SET client_min_messages = log")
            connection.add_notice_handler(lambda notice: plans.append(notice.message_primary or ""))

        with ConnectionPool(database.owner, min_size=1, configure=explain) as pool:
            log = AuditLog(pool=pool)
            cursor = log.timeline(limit=1).next_cursor
            log.timeline(limit=1, cursor=cursor)
        next_month = f"audit_log_{NOON.replace(day=1) + timedelta(days=32):%Y_%m}"
        first, second = (plan for plan in plans if f"audit_log_{NOON:%Y_%m}" in plan)
        assert (next_month in first, next_month in second) == (True, False)


class TestFilters:
    def test_narrow_to_a_user_and_an_event(self, database: Database) -> None:
        """Filters are joined by AND, and take UUIDs and their text."""
        user, event = uuid4(), uuid4()
        insert(database, action="by.user", user_id=user)
        insert(database, action="under.event", event_id=event)
        insert(database, action="both.here", user_id=user, event_id=event, occurred_at=NOON - timedelta(1))
        log = AuditLog(database.owner)
        assert actions(log, user_id=user) == ["by.user", "both.here"]
        assert actions(log, event_id=str(event)) == ["under.event", "both.here"]
        assert actions(log, user_id=user, event_id=event) == ["both.here"]

    def test_hold_on_every_page(self, database: Database) -> None:
        """A filter and a cursor go together."""
        user = uuid4()
        for number in range(6):
            insert(database, action=f"step.n{number}", user_id=(user, None)[number % 2], occurred_at=NOON)
        seen = pages(AuditLog(database.owner), user_id=user, limit=2)
        assert sorted(event.action for page in seen for event in page) == ["step.n0", "step.n2", "step.n4"]

    @pytest.mark.parametrize(("type_", "value"), [("bigint", 42), ("bigint", "42"), ("text", "auth0|42"), ("text", "")])
    def test_compare_in_the_columns_own_type(self, empty_database: Database, type_: str, value: int | str) -> None:
        """Ids are what the table says they are."""
        with psycopg.connect(empty_database.owner) as connection:
            schema.init(connection, id_types={"user_id": type_})
        insert(empty_database, user_id=value)
        insert(empty_database, user_id="43")
        [event] = AuditLog(empty_database.owner).timeline(user_id=value)
        assert str(event.user_id) == str(value)

    @pytest.mark.parametrize("value", ["me", "", 7, "nul\0", "half \ud800"])
    def test_say_which_value_the_column_cannot_hold(self, database: Database, value: int | str) -> None:
        """A mistyped id is the caller's error, not the server's."""
        with pytest.raises(ConfigurationError, match=r"^user_id is nothing that its column can hold: "):
            AuditLog(database.owner).timeline(user_id=value)

    def test_need_their_column(self, empty_database: Database) -> None:
        """A filter on a field that the table has not is an error rather than no answer."""
        empty_database.execute("CREATE TABLE trail (id int, occurred_at timestamptz, action text)")
        with pytest.raises(SchemaError, match="table trail has no column event_id"):
            AuditLog(empty_database.owner, table="trail").timeline(event_id=1)

    def test_refuse_the_cursor_of_another_table(self, database: Database) -> None:
        """A cursor whose id is of another type says so."""
        database.execute(NARROW)
        for _ in range(2):
            database.execute("INSERT INTO trail (action) VALUES ('a.b')")
        other = AuditLog(database.owner, table="trail", columns={"occurred_at": "created_at"})
        cursor = other.timeline(limit=1).next_cursor
        with pytest.raises(ConfigurationError, match=r"^cursor is nothing that its column can hold"):
            AuditLog(database.owner).timeline(cursor=cursor)


class TestOtherTables:
    def test_columns_of_the_users_are_extra(self, database: Database) -> None:
        """Generated columns too, whatever their names and however far their times."""
        database.execute(
            "ALTER TABLE audit_log ADD shop text, ADD \"100%%\" int, ADD until timestamptz DEFAULT 'infinity', "
            "ADD since date DEFAULT '-infinity', ADD day date DEFAULT '2026-01-31', ADD local timestamp, "
            "ADD loud text GENERATED ALWAYS AS (upper(action)) STORED"
        )
        insert(database, action="a.b", shop="Graz", local="0044-03-15 BC")
        [event] = AuditLog(database.owner).timeline()
        assert event.extra == {
            "shop": "Graz",
            "100%": None,
            "until": "infinity",
            "since": "-infinity",
            "day": date(2026, 1, 31),
            "local": "0044-03-15 00:00:00 BC",
            "loud": "A.B",
        }

    def test_a_narrow_table_is_read_as_it_is(self, empty_database: Database) -> None:
        """A table beside another service: bigint ids, its own name for the time, fields without a column None."""
        empty_database.execute(NARROW)
        for number in range(3):
            empty_database.execute(
                "INSERT INTO trail (user_id, event_id, action) VALUES (7, 'gala', %s)", f"n.v{number}"
            )
        log = AuditLog(empty_database.owner, table="public.trail", columns={"occurred_at": "created_at"})
        first, *_ = events = [event for page in pages(log, user_id=7, event_id="gala", limit=1) for event in page]
        assert [event.action for event in events] == ["n.v2", "n.v1", "n.v0"]
        assert (first.id, first.user_id, first.event_id, first.metadata) == (3, 7, "gala", {})
        assert (first.outcome, first.message, first.recorded_at, first.extra) == (None, None, None, {})
        assert isinstance(first.occurred_at, datetime)

    def test_times_beyond_the_calendar_have_pages(self, empty_database: Database) -> None:
        """Events at infinity and before Christ come in their order."""
        empty_database.execute("CREATE TABLE trail (id int, occurred_at timestamptz, action text)")
        times = ["infinity", "9999-12-31 23:59:59+00", "2026-01-01+00", "0044-03-15 BC", "-infinity"]
        for number, time in enumerate(times):
            insert(empty_database, table="trail", id=number, occurred_at=time)
        log = AuditLog(f"{empty_database.owner} options='-c TimeZone=Asia/Tokyo'", table="trail")
        assert [event.id for page in pages(log, limit=1) for event in page] == [0, 1, 2, 3, 4]

    def test_a_row_without_a_time_ends_no_page(self, empty_database: Database) -> None:
        """What has no place in the order is told, not skipped."""
        empty_database.execute("CREATE TABLE trail (id int, occurred_at timestamptz, action text)")
        empty_database.execute("INSERT INTO trail VALUES (1, NULL, 'a.b'), (2, NULL, 'a.c')")
        with pytest.raises(SchemaError, match="NOT NULL"):
            AuditLog(empty_database.owner, table="trail").timeline(limit=1)

    def test_without_a_time_the_error_names_the_option(self, empty_database: Database) -> None:
        """A table whose time has another name needs one word from the caller."""
        empty_database.execute(NARROW)
        with pytest.raises(SchemaError, match=r'no column occurred_at: .* columns=\{"occurred_at": "other_name"\}'):
            AuditLog(empty_database.owner, table="trail").timeline()

    def test_a_mapping_to_no_column_is_told(self, database: Database) -> None:
        """A misspelt column is an error, not an event without that field."""
        with pytest.raises(SchemaError, match="table audit_log has no column created"):
            AuditLog(database.owner, columns={"occurred_at": "created"}).timeline()

    def test_a_missing_table_says_what_to_run(self, empty_database: Database) -> None:
        """The error names table, database, role and the command."""
        with pytest.raises(SchemaError, match=rf"audit_log in database {empty_database.name} .* run pglog-audit init"):
            AuditLog(empty_database.owner).timeline()

    def test_the_writer_may_not_read(self, database: Database) -> None:
        """A role without SELECT gets PostgreSQL's own error."""
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            AuditLog(database.writer).timeline()

    def test_reading_changes_nothing(self, database: Database) -> None:
        """A view with side effects is refused: the transaction is read-only."""
        database.execute("CREATE SEQUENCE seen; CREATE VIEW trail AS SELECT *, nextval('seen') FROM audit_log")
        insert(database)
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            AuditLog(database.owner, table="trail").timeline()


class TestPool:
    def test_connections_may_be_of_any_kind(self, database: Database) -> None:
        """Rows as dicts, other placeholders and autocommit are the pool's own business."""
        insert(database, metadata=Jsonb({"a": 1}))
        kwargs = {"row_factory": dict_row, "cursor_factory": psycopg.RawCursor, "autocommit": True}
        with ConnectionPool(database.owner, kwargs=kwargs, min_size=1) as pool:
            [event] = AuditLog(pool=pool).timeline()
        assert (event.action, event.metadata) == ("branding.update", {"a": 1})

    def test_a_connection_goes_back_as_it_came(self, database: Database) -> None:
        """It may write again, and nothing was prepared on it: the next one behind PgBouncer is another server."""
        insert(database, user_id=uuid4())
        with ConnectionPool(database.owner, kwargs={"prepare_threshold": 0}, min_size=1, max_size=1) as pool:
            AuditLog(pool=pool).timeline(user_id=uuid4())
            with pool.connection() as connection:
                assert connection.execute("SHOW transaction_read_only", prepare=False).fetchone() == ("off",)
                assert connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (1,)

    def test_another_clients_temporary_table_is_not_read(self, database: Database) -> None:
        """A pooler may hand on a session that has a table of the same name."""
        insert(database, action="the.real")

        def leave_behind(connection: psycopg.Connection) -> None:
            connection.autocommit = True
            connection.execute("CREATE TEMP TABLE audit_log AS SELECT * FROM public.audit_log")
            connection.execute("UPDATE audit_log SET action = 'a.fake'")

        with ConnectionPool(database.owner, configure=leave_behind, min_size=1) as pool:
            assert actions(AuditLog(pool=pool)) == ["the.real"]

    def test_conninfo_beside_it_is_refused(self, server: LocalPostgres) -> None:
        """Two databases cannot both be the one that is meant."""
        pool = ConnectionPool(server.conninfo(), open=False)
        with pytest.raises(ConfigurationError, match="both given"):
            AuditLog(server.conninfo(), pool=pool)


class TestCommand:
    def test_prints_a_table(self, database: Database) -> None:
        """What support asks for first: who, what, when."""
        insert(database, user_label="Ada", message="Logo\x1b[2J replaced")
        result = run(database)
        assert (result.exit_code, result.stderr) == (0, "")
        for shown in ("Ada", "branding.update", NOON.astimezone().strftime("%H:%M:%S"), r"Logo\x1b[2J"):
            assert shown in result.stdout

    def test_prints_json_alone_on_stdout(self, database: Database) -> None:
        """A program can read what is printed, also when there are more pages and in a hostile row."""
        for text in ("\x9b2J\x7f", "\u202eabc"):
            insert(database, message=text, metadata=Jsonb({text: text}))
        result = run(database, "-o", "json", "-n", "1")
        [row] = json.loads(result.stdout)
        assert row["metadata"] == {row["message"]: row["message"]}
        assert row["id"] == str(UUID(row["id"]))
        assert datetime.fromisoformat(row["occurred_at"]) == NOON
        assert result.stdout.replace("\n", "").isascii()
        assert result.stdout.replace("\n", "").isprintable()

    def test_tells_how_to_see_the_next_page(self, database: Database) -> None:
        """The hint on stderr is the option to add."""
        for number in range(2):
            insert(database, message=f"n{number}", occurred_at=NOON - timedelta(seconds=number))
        hint = run(database, "-n", "1").stderr
        _, option, cursor = hint.rsplit(maxsplit=2)
        result = run(database, "-n", "1", option, cursor)
        assert "n1" in result.stdout
        assert result.stderr == ""

    @pytest.mark.parametrize(("output", "stdout"), [("table", ""), ("json", "[]\n")])
    def test_says_that_nothing_matches(self, database: Database, output: str, stdout: str) -> None:
        """An empty answer is a sentence for people, and an empty array for programs."""
        result = run(database, "--user", str(uuid4()), "-o", output)
        assert (result.exit_code, result.stdout) == (0, stdout)
        assert result.stderr == "No events in audit_log match.\n"

    def test_filters(self, database: Database) -> None:
        """The options narrow the question as the arguments do."""
        user, event = uuid4(), uuid4()
        insert(database, user_id=user, event_id=event)
        insert(database, user_id=user)
        insert(database, event_id=event)
        result = run(database, "--user", str(user), "--event", str(event), "-o", "json")
        assert len(json.loads(result.stdout)) == 1


def test_the_command_reads_a_table_with_other_names(empty_database: Database) -> None:
    """--column says where the time stands in another program's table."""
    empty_database.execute(NARROW)
    insert_into = "INSERT INTO trail (action, created_at) VALUES ('branding.update', '2026-03-02 09:41:07+00')"
    empty_database.execute(insert_into)
    result = run(empty_database, "--table", "trail", "--column", "occurred_at=created_at", "-o", "json")
    assert [event["action"] for event in json.loads(result.stdout)] == ["branding.update"]
