"""Which database an event of a Django project goes to: in a test run, and by way of a spool."""

import json
import re
from collections.abc import Iterator

import pytest

from tests.conftest import WRITER, Database, _database
from tests.django_projects import manage, others, run, settings_of

LOADED = "SELECT count(*) FROM audit_log WHERE action = 'site.load'"
NO_TABLE = {"pglog_audit": None, "django_people": None}


@pytest.fixture
def shop(empty_database: Database) -> Database:
    """Return a database that is migrated."""
    manage(empty_database, "migrate", "-v0")
    return empty_database


@pytest.fixture
def other_database(server) -> Iterator[Database]:
    """Return a second one without any table."""
    yield from _database(server, "template0")


# A test run


@pytest.mark.parametrize(
    ("arguments", "environ"),
    [([], {}), (["--keepdb"], {}), ([], {"ALIAS": "audit", "SETTINGS": json.dumps({"WRITER": WRITER})})],
    ids=["dropped", "kept", "as the writer"],
)
def test_the_test_runner_leaves_no_row_outside(shop, arguments, environ) -> None:
    """Events of tests go to the test database, which can be dropped; those of before go nowhere."""
    before = len(shop.rows("SELECT * FROM audit_log"))
    done = run("django_shop", shop, "test", "django_people", *arguments, EARLY="1", **environ)
    assert re.search(r"^Ran 3 tests.*\n\nOK", done.stderr, re.MULTILINE), done.stderr
    assert "pglog_audit:" not in done.stderr
    assert len(shop.rows("SELECT * FROM audit_log")) == before
    left = shop.rows("SELECT datname FROM pg_database WHERE datname = %s", f"test_{shop.name}")
    assert bool(left) == bool(arguments)
    if arguments:
        shop.execute(f"DROP DATABASE test_{shop.name}")


def test_tests_in_several_processes(shop) -> None:
    """Each has a copy of the database, also by the handler's own alias."""
    environ = {"ALIAS": "audit", "SETTINGS": json.dumps({"WRITER": WRITER})}
    done = run("django_shop", shop, "test", "django_people.mirrored", "--parallel", "2", **environ)
    assert re.search(r"^Ran 2 tests.*\n\nOK", done.stderr, re.MULTILINE), done.stderr
    assert not shop.rows()


def test_a_test_run_without_a_database_ends_at_once(shop) -> None:
    """Its events wait for none, and none is told as lost."""
    done = run("django_shop", shop, "test", "django_people.alone", EARLY="1")
    assert re.search(r"^Ran 1 test .*\n\nOK\n\Z", done.stderr, re.MULTILINE), done.stderr


@pytest.mark.parametrize("argument", ["test", "mail"])
def test_a_script_is_no_test_run(shop, argument) -> None:
    """Whatever its first argument, and though it has sent a mail that Django keeps in memory."""
    run("django_script", shop, argument)
    assert [row["action"] for row in shop.rows()] == ["mail.send"]


# A spool


def test_events_on_disk_wait_for_their_own_database(empty_database, tmp_path) -> None:
    """Neither does a test run get those of the settings' database, nor that one those of a test run."""
    spool = {"HANDLER": json.dumps({"spool": str(tmp_path)})}
    manage(empty_database, "check", EARLY="1", **spool)  # there is no table yet
    done = run("django_shop", empty_database, "test", "django_people", **spool)
    assert re.search(r"^Ran 3 tests.*\n\nOK", done.stderr, re.MULTILINE), done.stderr
    run("django_shop", empty_database, "test", "django_people.untold", **spool, **others(MIGRATION_MODULES=NO_TABLE))
    manage(empty_database, "migrate", "-v0", **spool)
    manage(empty_database, "check", EARLY="1", **spool)
    assert [row["action"] for row in empty_database.rows()] == ["site.load"] * 2


@pytest.mark.parametrize("journal", [False, True], ids=["spool", "journal"])
def test_databases_share_a_spool_and_no_line(empty_database, other_database, tmp_path, journal) -> None:
    """Two aliases of a project, and two projects: each line comes to its own database, by manage.py as well."""
    handler = {"HANDLER": json.dumps({"spool": str(tmp_path), "journal": journal})}
    both = others(DATABASES={"default": settings_of(empty_database), "other": settings_of(other_database)})
    for database, actions in ((empty_database, ["default.one", "other.one"]), (other_database, ["default.two"])):
        run("django_script", database, *actions, **handler, **(both if database is empty_database else {}))
    for database in (empty_database, other_database):
        manage(database, "migrate", "-v0")
        shown = manage(database, "pglog_audit", "spool", "replay", str(tmp_path))
        assert re.match(r"\d lines replayed", shown), shown
    assert [row["action"] for row in empty_database.rows()] == ["default.one"]
    assert sorted(row["action"] for row in other_database.rows()) == ["default.two", "other.one"]
