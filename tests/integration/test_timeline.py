"""What is in the audit table is what the timeline tells, page by page."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import product
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool

from pglog_audit import AuditEvent, AuditLog, ConfigurationError, SchemaError, schema

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
    for _ in range(1000):
        page = log.timeline(cursor=cursor, **question)
        yield list(page)
        cursor = page.next_cursor
        if cursor is None:
            return
    pytest.fail("the pages have no end")


def actions(log: AuditLog, **question: Any) -> list[str]:
    return [event.action for event in log.timeline(**question)]


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

    @pytest.mark.parametrize(
        "address", ["192.0.2.1", "192.0.2.0/24", "2001:db8::1", "::ffff:192.0.2.1", "::ffff:192.0.2.0/120"]
    )
    def test_an_address_is_written_as_the_server_writes_it(self, database: Database, address: str) -> None:
        """Also where Python has another way for an IPv4 address inside of IPv6."""
        insert(database, source_ip=address)
        [event] = AuditLog(database.owner).timeline()
        [row] = database.rows("SELECT format('%%s', source_ip) AS text FROM audit_log")
        assert event.source_ip == row["text"] == address

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

    @pytest.mark.parametrize("limit", [1, 3, 7])
    def test_of_the_oldest_first_are_the_same_backwards(self, database: Database, limit: int) -> None:
        """Reverse turns the order of the events, not what is in it, and its cursor goes on forward."""
        for number in range(7):
            insert(database, id=uuid4(), occurred_at=NOON + timedelta(days=400 * (number // 3 - 1)))
        log = AuditLog(database.owner)
        newest, oldest = (
            [event.id for page in pages(log, limit=limit, reverse=reverse) for event in page]
            for reverse in (False, True)
        )
        assert newest == oldest[::-1]
        assert len(set(newest)) == 7

    @pytest.mark.parametrize("reverse", [False, True])
    def test_refuse_the_cursor_of_the_other_order(self, database: Database, reverse: bool) -> None:
        """It would lead back, not on."""
        for _ in range(2):
            insert(database)
        log = AuditLog(database.owner)
        cursor = log.timeline(limit=1, reverse=reverse).next_cursor
        with pytest.raises(ConfigurationError, match="keep the order, or leave the cursor out"):
            log.timeline(cursor=cursor, reverse=not reverse)

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

    @pytest.mark.parametrize(
        ("field", "value", "other"),
        [
            ("entity_type", "logo", "logos"),
            ("target_id", uuid4(), uuid4()),
            ("tenant_id", uuid4(), uuid4()),
            ("request_id", "req/1", "req/11"),
            ("outcome", "denied", "failure"),
            ("action", "branding.update", "branding.update.late"),
        ],
    )
    def test_narrow_to_one_value(self, database: Database, field: str, value: Any, other: Any) -> None:
        """Each of them leaves out what has another value or none."""
        for name, number in ((value, 1), (other, 2), (value, 3)):
            insert(database, message=f"n{number}", occurred_at=NOON + timedelta(number), **{field: name})
        insert(database, message="n4", action="x.y")
        found = AuditLog(database.owner).timeline(**{field: value})
        assert [event.message for event in found] == ["n3", "n1"]

    def test_narrow_to_the_actions_below_a_prefix(self, database: Database) -> None:
        """The prefix ends at its dot, an underscore is no wildcard, and case counts."""
        for action in ("guest_list.export", "guest_list.entry.add", "guest_list", "guest_lists.add", "guestxlist.add"):
            insert(database, action=action)
        insert(database, action="Guest_list.add")
        found = actions(AuditLog(database.owner), action="guest_list.*")
        assert sorted(found) == ["guest_list.entry.add", "guest_list.export"]

    @pytest.mark.parametrize("action", ["audit.start", "audit.*"])
    def test_on_the_trails_own_actions_show_them(self, database: Database, action: str) -> None:
        """Who asks for them by name need not ask twice."""
        for name in ("audit.start", "auditor.invite"):
            insert(database, action=name)
        assert actions(AuditLog(database.owner), action=action) == ["audit.start"]

    def test_on_the_time_take_its_beginning_and_leave_its_end(self, database: Database) -> None:
        """Two times that meet share no event, whatever zones they are written in."""
        for number in range(4):
            insert(database, action=f"hour.n{number}", occurred_at=NOON + timedelta(hours=number))
        log = AuditLog(f"{database.owner} options='-c TimeZone=America/St_Johns'")
        one, three = ((NOON + timedelta(hours=hours)).astimezone(timezone(timedelta(hours=hours))) for hours in (1, 3))
        assert actions(log, since=one, until=three) == ["hour.n2", "hour.n1"]
        assert actions(log, since=three) == ["hour.n3"]
        assert actions(log, until=one) == ["hour.n0"]

    def test_are_joined(self, database: Database) -> None:
        """What support asks: this target's failures of last night."""
        target = uuid4()
        matching = {"target_id": target, "entity_type": "logo", "outcome": "failure", "occurred_at": NOON}
        others = {"target_id": uuid4(), "entity_type": "team", "outcome": "denied", "occurred_at": NOON + timedelta(1)}
        insert(database, action="the.one", **matching)
        for name, value in others.items():
            insert(database, **matching | {name: value})
        question = {"target_id": target, "entity_type": "logo", "outcome": "failure"}
        log = AuditLog(database.owner)
        assert actions(log, **question, since=NOON, until=NOON + timedelta(hours=1)) == ["the.one"]

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

    @pytest.mark.parametrize("name", ["tenant_id", "target_id", "event_id"])
    def test_name_the_field_of_an_id_that_cannot_be(self, database: Database, name: str) -> None:
        """Only what was given is named."""
        with pytest.raises(ConfigurationError, match=f"^{name} is nothing that its column can hold: "):
            AuditLog(database.owner).timeline(**{name: "me"}, since=NOON)

    @pytest.mark.parametrize("value", ["me", "", 7, "nul\0", "half \ud800"])
    def test_say_which_value_the_column_cannot_hold(self, database: Database, value: int | str) -> None:
        """A mistyped id is the caller's error, not the server's."""
        with pytest.raises(ConfigurationError, match=r"^user_id is nothing that its column can hold: "):
            AuditLog(database.owner).timeline(user_id=value)

    @pytest.mark.parametrize(
        "name", ["event_id", "user_id", "entity_type", "target_id", "request_id", "tenant_id", "outcome"]
    )
    def test_need_their_column(self, empty_database: Database, name: str) -> None:
        """A filter on a field that the table has not is an error rather than no answer."""
        empty_database.execute("CREATE TABLE trail (id int, occurred_at timestamptz, action text)")
        with pytest.raises(SchemaError, match=f"table trail has no column {name}"):
            AuditLog(empty_database.owner, table="trail").timeline(**{name: "failure"})

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

    def test_every_filter_works_on_a_table_with_other_names(self, empty_database: Database) -> None:
        """Columns that are called otherwise are mapped, and ids are of the column's type."""
        empty_database.execute(
            "CREATE TABLE trail (no bigserial, at timestamptz, verb varchar(80), who bigint, thing text, ok text)"
        )
        columns = {"id": "no", "occurred_at": "at", "action": "verb", "user_id": "who", "target_id": "thing"}
        log = AuditLog(empty_database.owner, table="trail", columns=columns | {"outcome": "ok"})
        for verb, ok in (("logo.add", "success"), ("logo.drop", "failure"), ("team.add", "failure")):
            empty_database.execute(
                "INSERT INTO trail (at, verb, who, thing, ok) VALUES (%s, %s, 7, 'a-1', %s)", NOON, verb, ok
            )
        question = {"user_id": 7, "target_id": "a-1", "action": "logo.*", "since": NOON, "until": NOON + timedelta(1)}
        assert actions(log, **question, reverse=True) == ["logo.add", "logo.drop"]
        assert actions(log, **question, outcome="failure") == ["logo.drop"]
        assert log.event(3) == log.timeline(action="team.add")[0]

    def test_a_view_is_read_like_a_table(self, database: Database) -> None:
        """Whoever may see only a part asks a view, with the same questions."""
        database.execute("CREATE VIEW logos AS SELECT * FROM audit_log WHERE entity_type = 'logo'")
        for kind in ("logo", "team"):
            insert(database, entity_type=kind, outcome="failure")
        log = AuditLog(database.owner, table="logos")
        assert [event.entity_type for event in log.timeline(outcome="failure", since=NOON)] == ["logo"]

    @pytest.mark.parametrize("style", ["German", "SQL, DMY", "Postgres, MDY"])
    def test_the_sessions_date_style_changes_nothing(self, database: Database, style: str) -> None:
        """Times and bounds are told with their offset, however a role likes its dates."""
        for number in range(3):
            insert(database, action=f"day.n{number}", occurred_at=NOON - timedelta(days=number))
        options = f"-c DateStyle={style.replace(' ', '')} -c TimeZone=Asia/Kolkata"
        log = AuditLog(psycopg.conninfo.make_conninfo(database.owner, options=options))
        found = [event for page in pages(log, limit=1, since=NOON - timedelta(days=1)) for event in page]
        assert [event.action for event in found] == ["day.n0", "day.n1"]
        assert found[0].occurred_at == NOON

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
        """A table whose time has another name needs one word from the caller, in Python or on the command line."""
        empty_database.execute(NARROW)
        words = r'columns=\{"occurred_at": "other_name"\} \(.* --column occurred_at=other_name\)'
        with pytest.raises(SchemaError, match=words):
            AuditLog(empty_database.owner, table="trail").timeline()

    def test_a_mapping_to_no_column_is_told(self, database: Database) -> None:
        """A misspelt column is an error, not an event without that field."""
        words = r"table audit_log has no column created: correct the option columns \(on the command line --column\)"
        with pytest.raises(SchemaError, match=words):
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


class TestOneEvent:
    def test_is_the_row_of_its_id(self, database: Database) -> None:
        """By UUID or text, whenever it was, and a row of the trail about itself too."""
        ids = {uuid4(): action for action in ("old.one", "audit.start", "new.one")}
        for days, (id_, action) in zip((-4000, 0, 20), ids.items(), strict=True):
            insert(database, id=id_, action=action, occurred_at=NOON + timedelta(days=days))
        log = AuditLog(database.owner)
        for id_, action in ids.items():
            for found in (log.event(id_), log.event(str(id_))):
                assert found
                assert (found.id, found.action) == (id_, action)

    def test_is_none_where_there_is_none(self, database: Database) -> None:
        """An id of no row is an answer, not an error."""
        insert(database)
        assert AuditLog(database.owner).event(uuid4()) is None

    @pytest.mark.parametrize("id_", ["me", "", 7, "nul\0"])
    def test_has_an_id_that_its_column_can_hold(self, database: Database, id_: Any) -> None:
        """A mistyped id is told, not looked for."""
        with pytest.raises(ConfigurationError, match=r"^id is nothing that its column can hold: "):
            AuditLog(database.owner).event(id_)

    def test_needs_a_column_for_the_id(self, empty_database: Database) -> None:
        """A table without ids has no event to name."""
        empty_database.execute("CREATE TABLE trail (occurred_at timestamptz, action text)")
        with pytest.raises(SchemaError, match="table trail has no column id"):
            AuditLog(empty_database.owner, table="trail").event(1)

    def test_is_found_without_a_time(self, empty_database: Database) -> None:
        """Nothing but the id is needed."""
        empty_database.execute("CREATE TABLE trail (id bigint, action text)")
        empty_database.execute("INSERT INTO trail VALUES (7, 'a.b')")
        assert AuditLog(empty_database.owner, table="trail").event("7") == AuditEvent(action="a.b", id=7)


def partitions(*bounds: tuple[str, str]) -> str:
    return "; ".join(f"CREATE TABLE p{n} PARTITION OF trail {bound}" for n, bound in enumerate(bounds))


class TestPartitions:
    """Every way to cut a table gives the same answers."""

    TIMES = (
        "-infinity",
        "0044-03-15 00:00+00 BC",
        "2025-12-31 23:59:59.999999+00",
        "2026-01-01 00:00+00",
        "2026-01-15 12:00+00",
        "2026-02-10 00:00+00",
        "2026-03-01 00:00+00",
        "2026-03-31 23:59:59.999999+00",
        "2026-04-01 00:00+00",
        "9999-12-31 23:59:59+00",
        "infinity",
    )
    JANUARY = "FOR VALUES FROM ('2026-01-01+00') TO ('2026-02-01+00')"
    FEBRUARY = "FOR VALUES FROM ('2026-02-01+00') TO ('2026-03-01+00')"
    MARCH = "FOR VALUES FROM ('2026-03-01+00') TO ('2026-04-01+00')"
    BY_TIME = "RANGE (occurred_at)"
    CUTS: ClassVar[dict[str, tuple[str, ...]]] = {
        "months": (BY_TIME, JANUARY, FEBRUARY, MARCH, "DEFAULT"),
        "a gap": (BY_TIME, JANUARY, MARCH, "DEFAULT"),
        "many gaps": (
            BY_TIME,
            *(f"FOR VALUES FROM ('2026-0{month}-10+00') TO ('2026-0{month}-20+00')" for month in range(1, 10)),
            "DEFAULT",
        ),
        "the default alone": (BY_TIME, "DEFAULT"),
        "no default": (
            BY_TIME,
            "FOR VALUES FROM (MINVALUE) TO ('2026-01-01+00')",
            "FOR VALUES FROM ('2026-01-01+00') TO (MAXVALUE)",
        ),
        "an open begin": (BY_TIME, "FOR VALUES FROM (MINVALUE) TO ('2026-01-01+00')", JANUARY, "DEFAULT"),
        "an open end": (BY_TIME, JANUARY, "FOR VALUES FROM ('2026-02-01+00') TO (MAXVALUE)", "DEFAULT"),
        "infinite bounds": (
            BY_TIME,
            "FOR VALUES FROM ('-infinity') TO ('2026-01-01+00')",
            JANUARY,
            "FOR VALUES FROM ('2026-03-01+00') TO ('infinity')",
            "DEFAULT",
        ),
        "days": (BY_TIME, "FOR VALUES FROM ('2026-01-15+00') TO ('2026-01-16+00')", "DEFAULT"),
        "years": (BY_TIME, "FOR VALUES FROM ('2026-01-01+00') TO ('2027-01-01+00')", "DEFAULT"),
        "parts of months": (BY_TIME, JANUARY, f"{FEBRUARY} PARTITION BY HASH (id)", "DEFAULT PARTITION BY HASH (id)"),
        "lists": ("LIST (action)", "FOR VALUES IN ('day.n1', 'day.n4')", "DEFAULT"),
        "hashes": ("HASH (id)", *(f"FOR VALUES WITH (MODULUS 2, REMAINDER {n})" for n in (0, 1))),
        "two keys": (
            "RANGE (occurred_at, id)",
            "FOR VALUES FROM ('2026-01-01+00', 3) TO ('2026-03-01+00', 4)",
            "DEFAULT",
        ),
        "an expression": ("RANGE (date(timezone('UTC', occurred_at)))", "DEFAULT"),
    }
    WINDOWS = (
        {},
        {"since": datetime(2026, 1, 1, tzinfo=UTC)},
        {"until": datetime(2026, 3, 1, tzinfo=UTC)},
        {"since": datetime(2026, 1, 15, tzinfo=UTC), "until": datetime(2026, 4, 1, tzinfo=UTC)},
    )

    @pytest.mark.parametrize("cut", CUTS)
    def test_give_complete_answers(self, empty_database: Database, cut: str) -> None:
        """Each event comes once and in its place, in both orders and whatever time is asked for."""
        key, *bounds = self.CUTS[cut]
        columns = "id int NOT NULL, occurred_at timestamptz NOT NULL, action text NOT NULL"
        empty_database.execute(f"CREATE TABLE trail ({columns}) PARTITION BY {key}; {partitions(*bounds)}")
        for number, bound in enumerate(bounds):
            if "PARTITION BY" in bound:
                rest = "FOR VALUES WITH (MODULUS 1, REMAINDER 0)"
                empty_database.execute(f"CREATE TABLE p{number}_all PARTITION OF p{number} {rest}")
        for number, time in enumerate(self.TIMES):
            insert(empty_database, table="trail", id=number, action=f"day.n{number}", occurred_at=time)
        with ConnectionPool(empty_database.owner, min_size=1) as pool:
            log = AuditLog(pool=pool, table="trail")
            for window, limit in product(self.WINDOWS, (1, 3, 50)):
                ids = self.expected(empty_database, **window)
                assert [e.id for page in pages(log, limit=limit, reverse=True, **window) for e in page] == ids
                assert [e.id for page in pages(log, limit=limit, **window) for e in page] == ids[::-1]

    def expected(self, database: Database, since: Any = "-infinity", until: Any = None) -> list[int]:
        """Return what one plain statement finds."""
        rows = database.rows(
            "SELECT id FROM trail WHERE occurred_at >= %s::timestamptz"
            " AND (occurred_at < %s::timestamptz) IS NOT FALSE ORDER BY occurred_at, id",
            since,
            until,
        )
        return [row["id"] for row in rows]

    def test_on_a_time_without_zone_are_asked_as_one(self, empty_database: Database) -> None:
        """Local times skip and repeat an hour a year, so that no bound can cut them."""
        empty_database.execute(
            "CREATE TABLE trail (id int NOT NULL, occurred_at timestamp NOT NULL, action text)"
            " PARTITION BY RANGE (occurred_at);"
            + partitions("FOR VALUES FROM ('2026-03-29 02:30') TO ('2026-04-01')", "DEFAULT")
        )
        times = ("2026-03-29 01:59", "2026-03-29 02:10", "2026-03-29 02:50", "2026-03-29 03:10", "2026-05-01")
        for number, time in enumerate(times):
            insert(empty_database, table="trail", id=number, action="a.b", occurred_at=time)
        log = AuditLog(f"{empty_database.owner} options='-c TimeZone=Europe/Vienna'", table="trail")
        assert [event.id for page in pages(log, limit=1) for event in page] == [4, 3, 2, 1, 0]

    def test_tell_a_row_without_a_time(self, empty_database: Database) -> None:
        """A key that may be NULL is not cut: such a row has no place in the order, and is told rather than skipped."""
        empty_database.execute(
            "CREATE TABLE trail (id int, occurred_at timestamptz, action text) PARTITION BY RANGE (occurred_at);"
            + partitions(self.JANUARY, "DEFAULT")
        )
        empty_database.execute("INSERT INTO trail VALUES (1, NULL, 'a.b'), (2, '2026-01-15', 'a.c')")
        with pytest.raises(SchemaError, match="NOT NULL"):
            AuditLog(empty_database.owner, table="trail").timeline(limit=1)

    def test_are_known_to_whoever_may_select(self, database: Database, server: LocalPostgres) -> None:
        """The bounds stand in the catalog: SELECT on the table alone finds events in months and net."""
        database.execute("DO $$BEGIN CREATE ROLE timeline_reader LOGIN; EXCEPTION WHEN duplicate_object THEN END$$")
        database.execute("GRANT SELECT ON audit_log TO timeline_reader")
        for days in (-4000, 0, 4000):
            insert(database, action=f"a.day{days}".replace("-", "m"), occurred_at=NOON + timedelta(days=days))
        log = AuditLog(server.conninfo(database.name, "timeline_reader"))
        assert actions(log) == ["a.day4000", "a.day0", "a.daym4000"]


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
