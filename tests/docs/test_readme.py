"""README.md does what it says."""

import asyncio
import json
import logging
import logging.config
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from textwrap import indent
from types import SimpleNamespace
from uuid import UUID, uuid4

import flask
import httpx
import psycopg
import pytest
from psycopg.types.json import Jsonb
from uuid_utils import uuid7

from pglog_audit import AuditHandler, AuditLog, audit, audit_context, lines
from pglog_audit.backlog import describe_target
from pglog_audit.options import read_options
from pglog_audit.spool import Spool
from pglog_audit.spool.directory import directory_name
from tests.benchmarks import report
from tests.benchmarks.peers import RECORDERS

from .reader import README, Block, is_installation, read_sections

ALICE = SimpleNamespace(id=UUID("01a20bd2-22ae-7078-afe5-20f2ef7f302a"), name="alice")
PREFACE = """\
import logging, signal, sys
from pglog_audit import AuditHandler, audit
logger = logging.getLogger("audit")
logger.setLevel("INFO")
logger.addHandler(AuditHandler(flush_interval=600))
"""
ALEMBIC_ENV = """
import os
import psycopg
import sqlalchemy
from alembic import context
target_metadata = sqlalchemy.MetaData()
connect = lambda: psycopg.connect(os.environ["PGLOG_AUDIT_CONNINFO"])
engine = sqlalchemy.create_engine("postgresql+psycopg://", creator=connect)
with engine.connect() as connection:
{configure}
    with context.begin_transaction():
        context.run_migrations()
"""
ENDING = "\nlogger.info('Begun', extra=audit('job.begin'))\nsignal.raise_signal(signal.SIGTERM)\nsignal.pause()\n"


@pytest.fixture
def logger():
    """Return a logger with a handler that finds its database in the environment."""
    logger = logging.getLogger("audit")
    logger.setLevel("INFO")
    logger.addHandler(AuditHandler())
    return logger


def configure(handlers, filters=None):
    """Use *handlers*, of which one is called audit, as README.md's configuration does."""
    loggers = {"audit": {"handlers": ["audit"], "level": "INFO", "propagate": False}}
    common = {"version": 1, "disable_existing_loggers": False}
    logging.config.dictConfig({**common, "filters": filters or {}, "handlers": handlers, "loggers": loggers})
    return logging.getLogger("audit")


def test_every_section_with_blocks_is_followed() -> None:
    """No block stands in README.md that no test here runs."""
    tests = "".join(path.read_text("utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    followed = set(re.findall(r'(?:follow|read_sections\(\)\[|code_of|serving)\(?\s*"(.+?)"', tests))
    runnable = {
        title
        for title, blocks in read_sections().items()
        if not all(block.language == "console" and is_installation(block.text) for block in blocks)
    }
    assert runnable == followed


def test_a_log_call_is_a_row(reader, logger) -> None:
    """The first line of code that README.md shows makes a row."""
    reader.follow("pglog_audit", logger=logger, audit=audit, user=ALICE)
    [row] = reader.rows()
    assert (row["action"], row["user_id"], row["metadata"]) == ("branding.update", ALICE.id, {"field": "logo"})


def test_the_first_row(bare_reader) -> None:
    """In an empty database, the commands and the program lead to a row on the screen."""
    bare_reader.follow("The first row", file="app.py")


def test_init_prints_the_same_configuration(bare_reader) -> None:
    """The configuration that README.md shows first is the one that init prints."""
    [program] = [block.text for block in read_sections()["The first row"] if block.language == "python"]
    configuration = re.search(r"^LOGGING = .*?^}\n", program, re.DOTALL | re.MULTILINE)
    assert configuration
    assert configuration[0] in bare_reader.shell("pglog-audit init")


def test_what_is_installed_exists() -> None:
    """Each pip install names this project, or the checkout, and extras that it has."""
    project = tomllib.loads((README.parent / "pyproject.toml").read_text("utf-8"))["project"]
    installed = re.findall(r"pip install (?:-e )?'([\w.-]+)\[([\w,]+)\]'", README.read_text("utf-8"))
    assert len(installed) == README.read_text("utf-8").count("pip install")
    for name, extras in installed:
        assert name in (".", project["name"])
        assert set(extras.split(",")) <= project["optional-dependencies"].keys()


def test_what_a_log_call_can_say(reader, logger) -> None:
    """A change and an exception look as README.md says."""
    reader.follow("What a log call can say", logger=logger, audit=audit, event_id=uuid4(), guest_id=uuid4())
    renamed, failed = reader.rows()
    assert (renamed["outcome"], renamed["message"], renamed["changes"], renamed["writer_seq"]) == (
        "success",
        "Guest renamed",
        {"name": ["Ada", "Ada L."]},
        1,
    )
    assert (failed["outcome"], failed["metadata"], failed["writer_seq"]) == (
        "failure",
        {"channel": "sms", "exception": "ConnectionError"},
        2,
    )


def test_what_makes_no_row(reader, logger) -> None:
    """Of the ways to no row that README.md warns of, the missing extra= alone makes one."""
    logger.debug("Below the level", extra=audit("a.b"))
    logging.LoggerAdapter(logger, {"other": 1}).info("Replaced", extra=audit("a.b"))
    logging.getLogger("elsewhere").error("Elsewhere", extra=audit("a.b"))
    logger.info("No extra", audit("a.b"))
    assert [row["message"] for row in reader.rows()] == ["No extra"]


def test_who_is_acting(reader, logger) -> None:
    """A block's fields stand on its rows."""
    reader.follow("Who is acting", logger=logger, audit=audit, user=ALICE)
    assert [(row["user_id"], row["user_label"]) for row in reader.rows()] == [(ALICE.id, "alice")]


def test_fastapi_and_starlette(reader, logger) -> None:
    """What a dependency binds stands on the rows of its request; each id is its response's, that of an error too."""
    names = reader.follow("FastAPI and Starlette", __name__=__name__, find_user={"alice's session": ALICE}.__getitem__)
    path = f"/events/{uuid4()}/publish"
    made, taken = asyncio.run(post(names["app"], path, {}, {"X-Request-ID": "taken/1"}))
    assert taken == "taken/1"
    names["logger"] = None
    [failed] = asyncio.run(post(names["app"], path, {"X-Request-ID": "failed/1"}))
    assert failed == "failed/1"
    rows = reader.rows()
    assert [row["request_id"] for row in rows] == [made, "taken/1"]
    assert {(row["user_id"], row["user_label"]) for row in rows} == {(ALICE.id, "alice")}
    assert {(str(row["source_ip"]), row["user_agent"]) for row in rows} == {
        ("127.0.0.1", f"python-httpx/{httpx.__version__}")
    }


def test_flask(reader, logger) -> None:
    """A view's event has the user that the function tells, and the id of its response."""
    site = reader.follow("Flask", __name__=__name__)["site"]

    @site.before_request
    def sign_in():
        flask.g.user = ALICE

    @site.get("/")
    def view():
        logger.info("Seen", extra=audit("page.view"))
        return "seen"

    reply = site.test_client().get("/")
    [row] = reader.rows()
    assert (row["user_id"], row["user_label"], row["request_id"]) == (ALICE.id, "alice", reply.headers["X-Request-ID"])


MANAGE = """
import os, sys
from django.core.management import execute_from_command_line
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
execute_from_command_line(sys.argv)
"""
SETTINGS = """
from psycopg.conninfo import conninfo_to_dict
rest = conninfo_to_dict({conninfo!r})
DATABASES = {{"default": {{"ENGINE": "django.db.backends.postgresql", "NAME": rest.pop("dbname"), "OPTIONS": rest}}}}
INSTALLED_APPS, MIDDLEWARE, USE_TZ = ["django.contrib.auth", "django.contrib.contenttypes"], [], True
"""


def test_django(bare_reader) -> None:
    """A project with the lines of README.md has the table that its settings ask for, and its commands read it."""
    bare_reader.database.execute("CREATE ROLE app LOGIN")
    settings, console, more, _ = read_sections()["Django"]
    (bare_reader.home / "manage.py").write_text(MANAGE)
    text = SETTINGS.format(conninfo=bare_reader.owner) + settings.text + more.text
    (bare_reader.home / "settings.py").write_text(text)
    for command, expected in console.commands:
        bare_reader.compare(Block("text", expected, console.line), bare_reader.shell(command))
    [found] = bare_reader.database.rows(
        "SELECT format_type(atttypid, NULL) FROM pg_attribute"
        " WHERE attrelid = 'audit_log'::regclass AND attname = 'target_id'"
    )
    assert found == {"format_type": "bigint"}
    assert run_as(bare_reader.writer, "INSERT INTO audit_log (action) VALUES ('a.b')")


LITE = """
DATABASES["audit"] = DATABASES["default"]
DATABASES["default"] = {"ENGINE": "django.db.backends.sqlite3", "NAME": "lite"}
"""
READ = "from pglog_audit.integrations.django.models import AuditEvent; print(AuditEvent.objects.count())"


def test_django_with_a_database_for_the_log(bare_reader) -> None:
    """With the router of README.md the model reads there, the migration writes there, and nobody looks elsewhere."""
    settings, _, _, router = read_sections()["Django"]
    (bare_reader.home / "manage.py").write_text(MANAGE)
    text = SETTINGS.format(conninfo=bare_reader.owner) + LITE + settings.text + router.text
    (bare_reader.home / "settings.py").write_text(text)
    for arguments in ("migrate -v0", "migrate -v0 --database audit pglog_audit", "dumpdata -o dumped.json"):
        bare_reader.shell(f"python manage.py {arguments}")
    assert "pglog_audit.auditevent" not in (bare_reader.home / "dumped.json").read_text().replace('"', "")
    bare_reader.database.execute("INSERT INTO audit_log (action) VALUES ('a.b')")
    assert bare_reader.shell(f"python manage.py shell -v0 -c '{READ}'").strip().endswith("1")


async def post(app, path, *headers):
    """Send a request with each of *headers*, and return the request ids of the responses."""
    cookies = {"session": "alice's session"}
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://site", cookies=cookies) as client:
        return [(await client.post(path, headers=each)).headers["X-Request-ID"] for each in headers]


def test_configuration_by_one_entry(reader) -> None:
    """The single entry makes rows, on every Python."""
    logging.config.dictConfig(reader.follow("Configuration")["LOGGING"])
    logging.getLogger("audit").info("Paid", extra=audit("invoice.pay", metadata={"iban": "DE02"}))
    assert [row["metadata"] for row in reader.rows()] == [{"iban": "***"}]


def test_configuration_by_the_standard_pair(reader) -> None:
    """From Python 3.12 on dictConfig wires the pair; before, it refuses it."""
    pair = reader.follow("Configuration")["PAIR"]
    if sys.version_info < (3, 12):
        with pytest.raises(ValueError, match="Unable to configure handler 'audit'"):
            configure(pair)
        return
    configure(pair).info("Paid", extra=audit("invoice.pay"))
    assert [row["action"] for row in reader.rows()] == ["invoice.pay"]


def test_configuration_behind_a_stock_queue_handler(reader) -> None:
    """The filter keeps the context of the thread that logs; dictConfig makes the pair from Python 3.12 on."""
    names = reader.follow("Configuration")
    if sys.version_info < (3, 12):
        with pytest.raises(ValueError, match="Unable to configure handler 'audit'"):
            configure(names["STOCK"], names["FILTERS"])
        return
    logger = configure(names["STOCK"], names["FILTERS"])
    listener = logging.getHandlerByName("audit").listener
    listener.start()
    with audit_context(user_label="alice"):
        logger.info("Paid", extra=audit("invoice.pay"))
    listener.stop()
    listener.handlers[0].close()  # as logging does at exit
    [row] = reader.rows()
    assert (row["action"], row["user_label"], row["service"]) == ("invoice.pay", "alice", "booking")


def test_in_the_applications_own_log(reader) -> None:
    """The lines are those that README.md shows, and the event is a row."""
    reader.follow("In the application's own log")
    assert [(row["message"], row["metadata"]) for row in reader.rows()] == [("Paid", {"iban": "***"})]


def test_the_table_and_its_roles(bare_reader) -> None:
    """Each role may do what the table says; nobody may change or remove a row; the script makes the same table."""
    bare_reader.follow("The table and its roles")
    insert = "INSERT INTO audit_log (action) VALUES ('a.b')"
    changes = ["UPDATE audit_log SET action = ''", "DELETE FROM audit_log", "TRUNCATE audit_log"]
    forged = "INSERT INTO audit_log (action, recorded_at) VALUES ('a.b', now())"
    assert run_as(bare_reader.writer, insert)
    assert not any(run_as(bare_reader.writer, statement) for statement in (*changes, "TABLE audit_log", forged))
    assert not any(run_as(bare_reader.owner, statement) for statement in changes)
    for relation in ("audit_log", "audit_timeline"):
        assert run_as(bare_reader.owner.replace("postgres@", "auditor@"), f"TABLE {relation}")
        assert not run_as(bare_reader.owner.replace("postgres@", "ops@"), f"TABLE {relation}")
        assert run_as(bare_reader.owner.replace("postgres@", "ops@"), f"SET ROLE audit_owner; TABLE {relation}")
    bare_reader.shell("psql -qc 'DROP TABLE audit_log CASCADE' $PGLOG_AUDIT_CONNINFO")
    bare_reader.shell("psql -v ON_ERROR_STOP=1 -f audit_log.sql $PGLOG_AUDIT_CONNINFO")
    assert run_as(bare_reader.writer, insert)


def test_running_it_for_years(bare_reader) -> None:
    """The operator's day goes as README.md shows it, on a table that nobody has kept for a while."""
    bare_reader.database.execute("CREATE ROLE app LOGIN; CREATE ROLE ops LOGIN NOINHERIT")
    made, day = read_sections()["Running it for years"]
    bare_reader.follow_block(made)
    grow_old(bare_reader)
    bare_reader.follow_block(day)


def grow_old(reader) -> None:
    """Give the table 26 past months of a writer, end its partitions, and spoil it, all as its owner."""

    def execute(statement):
        reader.database.execute(f"SET ROLE audit_owner; {statement}")

    for count in range(-26, 13):
        month = f"date_trunc('month', now(), 'UTC') + interval '{count} months'"
        name = f"'audit_log_' || to_char(({month}) AT TIME ZONE 'UTC', 'YYYY_MM')"
        if count >= 0:
            execute(f"DO $$BEGIN EXECUTE format('DROP TABLE %%I', {name}); END$$")
            continue
        bounds = f"{month}, {month} + interval '1 month'"
        make = f"'CREATE TABLE %%I PARTITION OF audit_log FOR VALUES FROM (%%L) TO (%%L)', {name}, {bounds}"
        execute(f"DO $$BEGIN EXECUTE format({make}); END$$")
        names = "action, writer_id, writer_seq, occurred_at"
        values = f"'ticket.open', '019cae1f-95b9-7d30-a1c4-6f0b6f6a3c51', {3 * (count + 26)} + n, {month}"
        execute(f"INSERT INTO audit_log ({names}) SELECT {values} FROM generate_series(1, 3) AS n")
        execute(
            f"DO $$BEGIN EXECUTE format('CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON %%1$I"
            f" EXECUTE FUNCTION audit_log_append_only(); ALTER TABLE %%1$I ENABLE ALWAYS TRIGGER refuse_truncate',"
            f" {name}); END$$"
        )
    execute("INSERT INTO audit_log (action) VALUES ('ticket.open'), ('ticket.open')")
    execute("DROP TRIGGER refuse_truncate ON audit_log_default")


def test_from_a_scheduler(reader) -> None:
    """What cron and Kubernetes run does its work; what pg_cron is given makes the partitions."""
    crontab, job, pg_cron = read_sections()["From a scheduler"]
    command = json.loads(re.findall(r"command: (\[.+\])", job.text)[0])
    assert crontab.text.split(None, 5)[5].strip() == command[2]
    next_month = "'audit_log_' || to_char(now() AT TIME ZONE 'UTC' + interval '1 month', 'YYYY_MM')"
    drop = f"DO $$BEGIN EXECUTE 'DROP TABLE ' || {next_month}; END$$"
    reader.database.execute(
        "CREATE SCHEMA cron; CREATE TABLE cron.job (command text); CREATE FUNCTION cron.schedule(text, text, text)"
        " RETURNS bigint LANGUAGE sql AS 'INSERT INTO cron.job VALUES ($3); SELECT 1::bigint'"
    )
    reader.follow_block(pg_cron)
    [scheduled] = reader.database.rows("SELECT command FROM cron.job")
    runs = (
        lambda: reader.shell(shlex.join(command)),
        lambda: reader.database.execute(scheduled["command"].replace("%", "%%")),
    )
    for run in runs:
        reader.database.execute(drop)
        run()
        assert reader.database.rows(f"SELECT to_regclass({next_month}) IS NOT NULL AS made") == [{"made": True}]


def test_alembic(bare_reader) -> None:
    """A migration makes the table, autogenerate leaves it alone, and a downgrade removes it."""
    bare_reader.database.execute("CREATE ROLE app LOGIN")
    env, migration = read_sections()["Alembic"]
    versions = bare_reader.home / "alembic" / "versions"
    versions.mkdir(parents=True)
    begin = "revision = 'a1'\ndown_revision = None\n"
    (versions / "a1_audit_log.py").write_text(begin + migration.text)
    (bare_reader.home / "alembic" / "env.py").write_text(ALEMBIC_ENV.format(configure=indent(env.text, "    ")))
    (bare_reader.home / "alembic.ini").write_text("[alembic]\nscript_location = alembic\n")
    bare_reader.shell("python -m alembic upgrade head")
    assert run_as(bare_reader.writer, "INSERT INTO audit_log (action) VALUES ('a.b')")
    assert "No new upgrade operations detected" in bare_reader.shell("python -m alembic check")
    bare_reader.shell("python -m alembic downgrade base")
    assert bare_reader.database.rows("SELECT to_regclass('audit_log') AS found") == [{"found": None}]


def run_as(conninfo, statement):
    """Run *statement*, and tell whether its role may."""
    with psycopg.connect(conninfo) as connection:
        try:
            connection.execute(statement)
        except psycopg.errors.InsufficientPrivilege:
            return False
    return True


def test_tenants(bare_reader) -> None:
    """The support tool and the commands see the events of the tenant that they name."""
    bare_reader.database.execute("CREATE ROLE app LOGIN; CREATE ROLE support LOGIN")
    bare_reader.shell("pglog-audit init --writer app")
    tenant = UUID("01a20bd2-2f6c-73cc-be33-53b8ac4079dd")
    statement = "INSERT INTO audit_log (action, user_label, tenant_id) VALUES (%s, %s, %s)"
    for action, name, id_ in (("branding.update", "alice", tenant), ("a.b", "bob", uuid4()), ("a.c", "eve", None)):
        bare_reader.database.execute(statement, action, name, id_)
    bare_reader.follow("Tenants", psycopg=psycopg, tenant=SimpleNamespace(id=tenant))


def test_a_column_of_your_own(reader, logger) -> None:
    """After ALTER TABLE and a second init, a key of the column's name fills it; before, the metadata."""
    logger.info("Paid", extra=audit("invoice.pay", amount=12))
    assert [row["metadata"] for row in reader.rows()] == [{"amount": 12}]
    reader.database.execute("ALTER TABLE audit_log ADD COLUMN amount integer")
    reader.shell("pglog-audit init --writer app")
    other = logging.getLogger("audit.other")
    other.propagate = False
    other.addHandler(AuditHandler(batch_size=7))
    other.info("Paid", extra=audit("invoice.pay", amount=12))
    rows = reader.rows()
    assert sorted((row["amount"], row["metadata"] == {}) for row in rows if row["amount"]) == [(12, True)]


def test_another_programs_table(bare_reader) -> None:
    """The handler writes what a narrow table has columns for."""
    bare_reader.database.execute("CREATE ROLE app LOGIN")
    handler = bare_reader.follow("Another program's table", AuditHandler=AuditHandler)["handler"]
    logger = logging.getLogger("audit")
    logger.setLevel("INFO")
    logger.addHandler(handler)
    logger.info("Paid", extra=audit("invoice.pay", user_id=7, user_label="alice", amount=12))
    assert handler.flush(30) == 0
    [row] = bare_reader.database.rows("SELECT id, user_id, action, metadata FROM activity")
    assert row == {"id": 1, "user_id": 7, "action": "invoice.pay", "metadata": {"amount": 12}}


def test_reading_back(reader, logger) -> None:
    """The pages show what README.md shows."""
    event_id = UUID("01a20bd2-2f6c-73cc-be33-53b8ac4079dd")
    for number in (1, 2, 3):
        logger.info("Guest %d", number, extra=audit("guest.check_in", user_id=ALICE.id, event_id=event_id))
    reader.rows()
    reader.follow("Reading back", event_id=event_id)


def test_the_command_line(reader) -> None:
    """The commands show what README.md shows, and bash takes the completion."""
    names = "id, action, user_id, event_id, outcome, message, metadata, changes"
    values = [ALICE.id, UUID("01a20bd2-2f6c-73cc-be33-53b8ac4079dd"), "denied", "Guest is not on the list"]
    parts = ['{"gate": "north"}', '{"status": ["invited", "refused"]}']
    for id_ in ("019cae1f-95b9-7d30-a1c4-6f0b6f6a3c50", "019cae1f-95b9-7d30-a1c4-6f0b6f6a3c51"):
        statement = f"INSERT INTO audit_log ({names}) VALUES (%s, 'guest.check_in', %s, %s, %s, %s, %s, %s)"
        reader.database.execute(statement, id_, *values, *parts)
    reader.follow("The command line")
    assert (reader.home / "denied.csv").read_text().count("guest.check_in") == 2


def test_gaps(reader) -> None:
    """What is missing is told with its explanation or without, and the auditor's own explanation counts."""
    writer = "019cae1f-95b9-7d30-a1c4-6f0b6f6a3c51"
    start, gap = {"host": "web-1", "pid": 4711}, {"reason": "queue full", "ranges": [[3, 5]], "count": 3}
    rows = [(0, "audit.start", start), *((seq, "ticket.open", {}) for seq in (1, 2, 6, 7)), (9, "audit.gap", gap)]
    statement = "INSERT INTO audit_log (writer_id, writer_seq, action, metadata, service) VALUES (%s, %s, %s, %s, %s)"
    for seq, action, metadata in rows:
        reader.database.execute(statement, writer, seq, action, Jsonb(metadata), "booking" if seq == 0 else None)
    reader.follow("Gaps", log=AuditLog(reader.owner))


def test_when_something_is_wrong(reader) -> None:
    """Doctor and check tell what README.md shows, of what is in order and of what is not."""
    [settings] = [block.text for block in read_sections()["Configuration"] if block.text.startswith("LOGGING")]
    (reader.home / "settings.py").write_text(reader.localized(settings))
    names = reader.follow("When something is wrong")
    configure({"audit": {"class": "pglog_audit.AuditHandler"}})
    names["test_audit_events_become_rows"]()
    logging.getLogger("audit").setLevel("ERROR")
    with pytest.raises(AssertionError):
        names["test_audit_events_become_rows"]()


def test_waiting_and_counting(reader) -> None:
    """flush() waits for the row, and stats() counts it; in a process of its own, since it counts all writers."""
    program, shown = read_sections()["Waiting and counting"]
    (reader.home / "count.py").write_text(PREFACE + program.text)
    reader.compare(shown, reader.shell("python -W error count.py"))


def test_events_on_disk(reader) -> None:
    """What a dead writer left is shown, becomes rows, and what the table refuses can be looked at."""
    reader.database.execute("ALTER TABLE audit_log ADD CONSTRAINT positive_amount CHECK (metadata->>'amount' <> '-1')")
    target = describe_target(read_options(reader.owner, {})[0])
    writer = str(uuid4())
    head = {"writer_id": writer, "occurred_at": 1772444467.25, "action": "ticket.sell", "outcome": "success"}
    left = [
        lines.render({"id": str(uuid7()), **head, "writer_seq": seq, "metadata": {"amount": amount}})
        for seq, amount in enumerate(("12", "-1", "7"), 1)
    ]
    spool = Spool(reader.home / "audit", target, writer)
    assert spool.append(left) == 3
    spool.close()
    shown = {
        str(reader.home / "audit"): "/var/lib/app/audit",
        directory_name(target): directory_name("host=db.example dbname=app table=audit_log"),
        target: "host=db.example dbname=app table=audit_log",
    }
    [block] = read_sections()["Events on disk"]
    for command, expected in block.commands:
        output = reader.shell(command.replace("/var/lib/app", str(reader.home)))
        for actual, name in shown.items():
            output = output.replace(actual, name)
        reader.compare(Block("text", expected, block.line), re.sub(r"\d+ bytes", "640 bytes", output))
    assert [row["metadata"] for row in reader.database.rows()] == [{"amount": "12"}, {"amount": "7"}]


def test_outages_and_losses(reader) -> None:
    """The directory is made where README.md says, and has the event until it is a row."""
    [block] = read_sections()["Outages and losses"]
    logger = logging.getLogger("audit")
    logger.setLevel("INFO")
    text = block.text.replace("/var/lib/app", str(reader.home))
    exec(compile(text, "README.md", "exec"), {"logger": logger, "audit": audit, "AuditHandler": AuditHandler})
    [segment] = reader.home.glob("audit-spool/*/*.spool")
    assert segment.stat().st_mode & 0o777 == 0o600
    assert logger.handlers[0].flush(60) == 0
    assert [row["action"] for row in reader.rows()] == ["event.publish"]


def test_masking(reader) -> None:
    """What README.md shows as masked is masked in the row, and the rest is not."""
    logger = logging.getLogger("audit")
    logger.setLevel("INFO")
    reader.follow("Masking", logger=logger, audit=audit, AuditHandler=AuditHandler)


def test_bad_input(reader, logger) -> None:
    """The row tells what was changed, as README.md shows."""
    logger.propagate = False  # pytest's own handlers raise at wrong arguments
    reader.follow("Bad input", logger=logger, audit=audit)


def test_a_rolled_back_transaction_leaves_its_row(reader, logger) -> None:
    """The handler's connection is not the application's."""
    with psycopg.connect(reader.writer) as connection:
        connection.execute("INSERT INTO audit_log (action) VALUES ('order.place')")
        logger.info("Placed", extra=audit("order.place.logged"))
        connection.rollback()
    assert [row["action"] for row in reader.rows()] == ["order.place.logged"]


def test_an_exit_while_the_database_is_down(reader) -> None:
    """One line says how many events were lost, and why."""
    program = PREFACE.replace("flush_interval=600", "'postgresql://app@127.0.0.1:1/app', shutdown_timeout=0.5")
    program += "logger.info('Begun', extra=audit('job.begin'))\n"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"pglog_audit: 1 audit event lost at exit: .*refused.*", done.stderr.splitlines()[-1])


def test_a_script_that_makes_sigterm_an_exit_loses_nothing(reader) -> None:
    """The other line that README.md gives makes an ordinary exit of the signal."""
    [line] = re.findall(r"`(signal\.signal\(signal\.SIGTERM, .+?\)\))`", README.read_text("utf-8"))
    done = subprocess.run([sys.executable, "-W", "error", "-c", PREFACE + line + ENDING], check=False)
    assert done.returncode == 143
    assert [row["action"] for row in reader.rows()] == ["job.begin"]


def test_how_fast_it_is() -> None:
    """The command measures; roughly and in part it does so in seconds."""
    [block] = read_sections()["How fast it is"]
    [(command, _)] = block.commands
    arguments = [*command.removeprefix("python ").split(), "--quick", "--only", "a"]
    done = subprocess.run([sys.executable, *arguments], cwd=README.parent, capture_output=True, text=True)
    assert re.match(r" +figure +must +aim +measured .*\na +caller's overhead", done.stdout), done.stderr


def test_the_picture_is_the_benchmarks() -> None:
    """README.md shows the file that the benchmark drew, and has a place for its table."""
    text = README.read_text("utf-8")
    [path] = re.findall(r"!\[.+?\]\((.+?\.svg)\)", text)
    svg = (README.parent / path).read_text("utf-8")
    assert all(f">{name}</text>" in svg for name in RECORDERS)
    assert report.BEGIN in text
    assert report.END in text.partition(report.BEGIN)[2]
