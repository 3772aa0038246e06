"""What a Django project hears from its commands: of its settings, of a table that is missing, and of its log."""

import json
import re
from uuid import uuid4

import pytest

from tests.conftest import WRITER
from tests.django_projects import ID_COLUMNS, manage, others, run

LITE = {"DATABASES": {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}}


# Settings


@pytest.mark.parametrize(
    ("arguments", "environ", "error"),
    [
        (("pglog_audit", "timeline"), others(**LITE), "the database 'default' of DATABASES is no PostgreSQL: name one"),
        (
            ("pglog_audit", "--database", "nope", "gaps"),
            {},
            "no database 'nope' in DATABASES: name one of default, audit",
        ),
        (
            ("pglog_audit", "init"),
            {"SETTINGS": '{"ID_TYPES": {"target": "bigint"}}'},
            "PGLOG_AUDIT has the ID_TYPES {'target': 'bigint'}: the id columns are event_id,",
        ),
        (("pglog_audit", "init"), {"SETTINGS": '{"ID_TYPE": {}}'}, "PGLOG_AUDIT is {'ID_TYPE': …}: it must be"),
        (("migrate", "--skip-checks"), {"SETTINGS": '{"ID_TYPE": {}}'}, "PGLOG_AUDIT is {'ID_TYPE': …}: it must be"),
        (("migrate", "-v0"), {"SETTINGS": '{"WRITER": "nobody_such"}'}, "there is no role nobody_such"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(empty_database, arguments, environ, error) -> None:
    """By commands of manage.py, without a traceback."""
    done = run("django_shop", empty_database, *arguments, status=1, **environ)
    assert done.stderr.startswith(f"CommandError: {error}"), done.stderr
    assert done.stderr.count("\n") == 1


AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"
APPS = [f"django.contrib.{name}" for name in ("admin", "auth", "contenttypes", "messages", "sessions")]
OURS = "pglog_audit.integrations.django.AuditMiddleware"


@pytest.mark.parametrize(
    ("environ", "number", "text"),
    [
        ({"SETTINGS": '{"TRUSTED_PROXY": []}'}, "E001", "PGLOG_AUDIT is {'TRUSTED_PROXY': …}"),
        ({"SETTINGS": '{"TRUSTED_PROXIES": ["nowhere"]}'}, "E001", "nowhere"),
        ({"SETTINGS": '{"ID_TYPES": {"user_id": "float"}}'}, "E001", "{'user_id': 'float'}"),
        ({"HANDLER": '{"database": "nope"}'}, "E002", "The handler audit has the option database='nope'"),
        (others(INSTALLED_APPS=APPS), "W001", "is used and not installed"),
        (others(MIDDLEWARE=[AUTHENTICATION, OURS]), "W002", "AuditMiddleware comes after AuthenticationMiddleware"),
        (others(**LITE), "W003", "The handler audit writes to DATABASES['default'], which is no PostgreSQL"),
    ],
)
def test_the_checks_of_django_find_what_is_wrong(empty_database, environ, number, text) -> None:
    """Each by its number, before anything is logged; the README's settings have nothing to be found."""
    done = run("django_shop", empty_database, "check", "--fail-level", "WARNING", status=1, **environ)
    assert re.search(rf"\(pglog_audit\.{number}\) .*{re.escape(text)}", done.stderr), done.stderr
    manage(empty_database, "check", "--fail-level", "WARNING")


def test_another_database_gets_no_table_and_no_events(empty_database) -> None:
    """With SQLite the migration does nothing; of the events, one warning tells, and the end is not held up."""
    done = run("django_shop", empty_database, "migrate", "-v0", "--skip-checks", EARLY="1", **others(**LITE))
    assert done.stderr.count("\n") == 1
    assert "'default' of DATABASES is no PostgreSQL: audit events are not stored" in done.stderr


@pytest.mark.parametrize("given", ["ID_TYPE", "HEADERS"])
def test_a_misspelt_setting_is_refused(empty_database, given) -> None:
    """The mistake shows with the names that there are."""
    done = run("django_requests", empty_database, status=1, SETTINGS=json.dumps({given: {}}))
    names = "HEADER, TRUSTED_PROXIES, ID_TYPES, WRITER, READER"
    assert f"PGLOG_AUDIT is {{'{given}': …}}: it must be a dict with some of {names}" in done.stderr


# Commands


def test_init_makes_the_table_that_the_migration_would_make(empty_database) -> None:
    """It has the ids of the project, and what is told of the handler is Django's."""
    done = run("django_shop", empty_database, "pglog_audit", "timeline", status=4)
    assert "run manage.py migrate pglog_audit, or" in done.stderr
    shown = manage(empty_database, "pglog_audit", "init")
    assert 'The handler writes to DATABASES["default"].\n' in shown
    assert '"handlers": {"audit": {"class": "pglog_audit.integrations.django.AuditHandler"}}' in shown
    assert "manage.py pglog_audit timeline" in shown
    assert "dictConfig" not in shown
    manage(empty_database, "migrate", "-v0")
    assert {row["type"] for row in empty_database.rows(ID_COLUMNS)} == {"bigint", "uuid"}


def test_before_the_migration_the_handler_names_it(empty_database) -> None:
    """What waits for the table waits for Django's command."""
    done = run("django_shop", empty_database, "check", EARLY="1")
    assert "run 'manage.py migrate pglog_audit', or" in done.stderr


@pytest.fixture
def shop(empty_database):
    """Return a database that is migrated."""
    manage(empty_database, "migrate", "-v0")
    return empty_database


def test_the_command_line_by_manage_py(shop) -> None:
    """It reads the database of the settings, takes the options of the command line, and leaves its exit status."""
    shop.execute("INSERT INTO audit_log (action) SELECT 'ticket.sell' FROM generate_series(1, 3)")
    shown = manage(shop, "pglog_audit", "timeline", "--limit", "2", "-o", "jsonl")
    assert [json.loads(line)["action"] for line in shown.splitlines()] == ["ticket.sell"] * 2
    assert "may insert events" in manage(shop, "pglog_audit", "init", "--writer", WRITER)
    assert "--outcome" in manage(shop, "pglog_audit", "timeline", "--help")
    run("django_shop", shop, "pglog_audit", "show", str(uuid4()), status=1)


def test_what_a_command_prints_goes_where_its_caller_says(shop) -> None:
    """As with every command of Django's."""
    shop.execute("INSERT INTO audit_log (action) VALUES ('ticket.sell')")
    assert run("django_script", shop, "command").stdout == "ticket.sell\n"


def test_rows_of_an_assumed_role(shop) -> None:
    """What the settings say of the connection holds for the writer's, too: here the role that it takes."""
    manage(shop, "pglog_audit", "init", "--writer", WRITER)
    shop.execute("ALTER TABLE audit_log ADD COLUMN written_by text DEFAULT current_user")
    manage(shop, "check", EARLY="1", DATABASE=json.dumps({"OPTIONS": {"assume_role": WRITER}}))
    assert [row["written_by"] for row in shop.rows() if row["action"] == "site.load"] == [WRITER]
