"""A real Django project: its migration, its requests, its admin page, its commands and its test runner."""

import json
import re
from uuid import UUID, uuid4

import django
import pytest

from tests.django_projects import ID_COLUMNS, manage, others, run

SINCE_5 = pytest.mark.skipif(django.VERSION < (5,), reason="Django 4.2 has no auser()")
TABLE = "SELECT obj_description('audit_log'::regclass) AS comment, relowner::regrole::text AS owner FROM pg_class"


# The migration


def test_migrate_makes_the_table(empty_database) -> None:
    """In an empty database it is there with view, guards and the user model's key; a second time nothing happens."""
    manage(empty_database, "migrate", "-v0")
    [found] = empty_database.rows(f"{TABLE} WHERE oid = 'audit_log'::regclass")
    assert found["comment"].startswith("pglog_audit schema ")
    assert [(row["attname"], row["type"]) for row in empty_database.rows(ID_COLUMNS)] == [
        ("impersonator_id", "bigint"),
        ("target_id", "uuid"),
        ("user_id", "bigint"),
    ]
    assert empty_database.rows("SELECT * FROM audit_timeline") == []
    manage(empty_database, "migrate", "pglog_audit", "zero", "-v0")
    manage(empty_database, "migrate", "-v0")
    assert "No changes" in manage(empty_database, "makemigrations", "--check", "--dry-run")


@pytest.mark.parametrize(
    ("model", "settings", "types"),
    [
        ("django_people.UuidUser", {}, ("uuid", "uuid", "uuid")),
        ("django_people.NamedUser", {"ID_TYPES": {"target_id": "bigint"}}, ("text", "text", "bigint")),
    ],
)
def test_the_sql_of_the_migration(empty_database, model, settings, types) -> None:
    """It has the key of each user model, and the ids that the settings ask for."""
    shown = manage(empty_database, "sqlmigrate", "pglog_audit", "0001", USER_MODEL=model, SETTINGS=json.dumps(settings))
    found = [
        re.search(rf"^    {name} (\w+),$", shown, re.MULTILINE)[1]
        for name in ("user_id", "impersonator_id", "target_id")
    ]
    assert tuple(found) == types
    assert shown.count("BEGIN;") == shown.count("COMMIT;") == 1


def test_a_table_that_is_there_is_used(database) -> None:
    """If its ids are those of the user model, or of the settings; otherwise the migration says which is not."""
    for command in (("migrate", "-v0"), ("pglog_audit", "init")):
        done = run("django_shop", database, *command, status=1)
        assert done.stderr.startswith(
            "CommandError: user_id of public.audit_log is uuid, and this project asks for bigint"
        )
        assert done.stderr.count("\n") == 1
    [given] = re.findall(r"PGLOG_AUDIT = (.*);", done.stderr)
    manage(database, "migrate", "-v0", SETTINGS=given)
    assert {row["type"] for row in database.rows(ID_COLUMNS)} == {"uuid"}


def test_an_empty_table_with_other_ids_is_made_anew(database) -> None:
    """By the statement that the migration's error names."""
    done = run("django_shop", database, "migrate", "-v0", status=1)
    [drop] = re.findall(r"run (DROP TABLE .*), and", done.stderr)
    database.execute(drop)
    manage(database, "migrate", "-v0")
    assert {row["type"] for row in database.rows(ID_COLUMNS)} == {"bigint", "uuid"}


# Requests


def ask(database, *paths: str) -> tuple[list, int, str]:
    """Ask for *paths*, and return the responses, how often a user was looked up, and what stderr has."""
    done = run("django_requests", database, *paths)
    *responses, queries = map(json.loads, done.stdout.splitlines())
    return responses, queries, done.stderr


def test_the_user_is_asked_for_by_a_log_call_alone(empty_database) -> None:
    """A request that logs nothing loads no user; one that logs has the user's key and name."""
    responses, queries, _ = ask(empty_database, "seen?quiet", "seen?quiet", "seen")
    assert (len(responses), queries) == (3, 1)
    [row] = empty_database.rows()
    assert (row["user_id"], row["user_label"], row["request_id"]) == (1, "alice", responses[2][1])
    assert str(row["source_ip"]) == "127.0.0.1"


@pytest.mark.parametrize("path", ["enter", pytest.param("async:/enter-async", marks=SINCE_5)])
def test_who_signs_in_acts_from_then_on(empty_database, path) -> None:
    """Before login() the event has no user, after it this one."""
    ask(empty_database, path)
    assert [(row["action"], row["user_label"]) for row in empty_database.rows()] == [
        ("user.ask", None),
        ("user.enter", "alice"),
    ]


def test_a_middleware_that_knows_more(empty_database) -> None:
    """One that is derived from ours adds the tenant."""
    run("django_requests", empty_database, "seen", MIDDLEWARE="django_urls.TenantMiddleware")
    assert [(row["user_label"], row["tenant_id"]) for row in empty_database.rows()] == [("alice", UUID(int=10))]


def test_an_error_page_and_a_stream_are_of_their_request(empty_database) -> None:
    """The answer to an exception has the id of its events; so has each piece of a stream, and its end."""
    responses, _, _ = ask(empty_database, "fail", "stream")
    assert [status for status, *_ in responses] == [500, 200]
    assert [(row["action"], row["request_id"], row["user_label"]) for row in empty_database.rows()] == [
        ("page.fail", responses[0][1], "alice"),
        ("page.view", responses[1][1], "alice"),
        ("page.leave", responses[1][1], "alice"),
    ]


def test_coroutines(empty_database) -> None:
    """An async view's event has the user that the view has awaited; without that a warning says what to await."""
    responses, _, errors = ask(
        empty_database, "async:/seen-async?ask", "async:/stream-async", "async:/fail", "async:/seen-async"
    )
    assert [status for status, *_ in responses] == [200, 200, 500, 200]
    rows = empty_database.rows()
    assert [row["request_id"] for row in rows] == [request_id for _, request_id, _ in responses]
    assert rows[0]["user_label"] == rows[2]["user_label"] == "alice"
    assert rows[3]["user_label"] is None
    assert "await request.auser() before" in errors


def test_a_thread_of_the_application_leaves_no_connection(empty_database) -> None:
    """The user stands on its events, and what it opened to ask for the user is closed."""
    [(status, _, body)], _, _ = ask(empty_database, "async:/seen-in-threads")
    assert (status, body) == (200, "0")
    assert [row["user_label"] for row in empty_database.rows()] == ["alice"] * 3


# The admin page


def store(database, count: int) -> None:
    """Store *count* events of one moment, and one of the trail's own."""
    database.execute(
        "INSERT INTO audit_log (action, occurred_at, user_id, user_label, target_id, target_label, metadata)"
        " SELECT 'ticket.sell', '2026-03-02 09:00+00', 7, 'alice', %s, 'Ticket ' || n, '{\"seats\": 2}'"
        " FROM generate_series(1, %s) AS n",
        uuid4(),
        count,
    )
    database.execute("INSERT INTO audit_log (action) VALUES ('audit.start')")


@pytest.fixture
def shop(empty_database):
    """Return a database that is migrated and has 250 events."""
    manage(empty_database, "migrate", "-v0")
    store(empty_database, 250)
    return empty_database


def test_the_admin_page(shop) -> None:
    """Staff turns its pages by a cursor, searches and filters; labels stand for ids, and no row is counted."""
    paths = ("", "?q=ticket.sell", "?user_id=7", "?o=3", "?rows=all", "?user_id=me", "?p=damaged")
    found = json.loads(run("django_admin", shop, *paths).stdout)
    first, *others, everything, _, _ = [text for _, text in found["pages"]]
    assert {status for status, _ in [*found["pages"], *found["following"]]} == {200}
    assert "alice</a>" in first
    assert ["audit.start" in text for text in (first, everything)] == [False, True]
    assert [len(targets(text)) for text in (first, *others)] == [100] * 4
    assert not [query for query in found["queries"] if "COUNT(" in query]
    assert all('ORDER BY "audit_log"."occurred_at" DESC, "audit_log"."id" DESC' in query for query in found["queries"])
    assert found["permissions"] == ["view_auditevent"]
    shown = [target for text in (first, *(text for _, text in found["following"])) for target in targets(text)]
    assert sorted(shown) == sorted(f"Ticket {n}" for n in range(1, 251))


def test_the_pages_end_in_the_night_that_has_an_hour_twice(empty_database) -> None:
    """Without time zones in Python, too: each event is shown once."""
    manage(empty_database, "migrate", "-v0")
    empty_database.execute(
        "INSERT INTO audit_log (action, occurred_at, target_id, target_label) SELECT 'ticket.sell',"
        " timestamptz '2025-10-26 00:00+00' + n * interval '20 s', gen_random_uuid(), 'Ticket ' || n"
        " FROM generate_series(1, 540) AS n"
    )
    found = json.loads(
        run("django_admin", empty_database, "", **others(USE_TZ=False, TIME_ZONE="Europe/Berlin")).stdout
    )
    shown = [target for _, text in (*found["pages"], *found["following"]) for target in targets(text)]
    assert shown == [f"Ticket {n}" for n in range(540, 0, -1)]


def test_a_search_is_answered_by_indexes(shop) -> None:
    """Whatever kind of id is looked for: no partition is read from end to end."""
    found = json.loads(run("django_admin", shop, f"?q={uuid4()}", "?q=7", "?q=ticket.sell").stdout)
    assert len(found["plans"]) == 3
    assert not [plan for plan in found["plans"] if "Seq Scan" in plan]


def test_what_a_row_holds_does_nothing_on_the_page(shop) -> None:
    """Markup is text, and what would turn the text around is shown as an escape, in the list and on an event's page."""
    id_ = uuid4()
    shop.execute(
        "INSERT INTO audit_log (id, action, user_label, message, metadata) VALUES (%s, 'a.b', %s, '<b>bold</b>', %s)",
        id_,
        "eve\u202e",
        json.dumps({"a": ["\u202e", {"\u202e": 1}]}),
    )
    found = json.loads(run("django_admin", shop, "?q=a.b", f"{id_}/change/").stdout)
    for status, page in found["pages"]:
        assert status == 200
        assert "eve\\u202e" in page
        assert "\u202e" not in page
        assert "&lt;b&gt;bold&lt;/b&gt;" in page


def targets(page: str) -> list[str]:
    """Return what was acted on in the events of *page*."""
    return re.findall(r">(Ticket \d+)</a>", page)


def test_nobody_changes_the_log_from_django(shop) -> None:
    """Adding, changing and deleting is refused to staff and superusers, by the model too; others see nothing."""
    found = json.loads(run("django_admin", shop).stdout)
    assert found["statuses"] == {"staff": [403] * 3, "root": [403] * 3, "other": [403]}
    assert found["refused"] == found["attempted"]
    assert len(shop.rows()) == 250


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("occurred_at", "'infinity'"),
        ("occurred_at", "'-infinity'"),
        ("occurred_at", "'12026-03-02 09:00+00'"),
        ("occurred_at", "'0044-03-15 BC'"),
        ("metadata", "jsonb_build_array(repeat('9', 5000)::numeric)"),
        ("metadata", "(repeat('[', 1100) || repeat(']', 1100))::jsonb"),
        ("changes", """('{"a":' || repeat('[', 950) || repeat(']', 950) || '}')::jsonb"""),
    ],
)
def test_no_row_hides_others_on_the_page(shop, column, value) -> None:
    """What Python has no value for is shown some other way, in the list, on its pages, and on the event's own."""
    rows = f"SELECT 'ticket.forge', {value} FROM generate_series(1, 101)"
    shop.execute(f"INSERT INTO audit_log (action, {column}) {rows}")
    (id_, *_) = (row["id"] for row in shop.rows("SELECT id FROM audit_log WHERE action = 'ticket.forge'"))
    found = json.loads(run("django_admin", shop, "", "?q=ticket.forge", f"{id_}/change/").stdout)
    first, *others = (text for _, text in found["pages"])
    assert {status for status, _ in [*found["pages"], *found["following"]]} == {200}
    assert all("ticket.forge" in text for text in others)
    listed = [target for text in (first, *(text for _, text in found["following"])) for target in targets(text)]
    assert sorted(listed) == sorted(f"Ticket {n}" for n in range(1, 251))
