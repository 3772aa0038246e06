"""The options of the handlers: what is accepted, and what every mistake is told."""

import asyncio
import logging
import re
from logging.config import ConvertingDict
from queue import SimpleQueue
from types import SimpleNamespace
from uuid import UUID

import psycopg_pool
import pytest
from psycopg.conninfo import conninfo_to_dict

from pglog_audit import AuditHandler, AuditQueueListener, PostgresHandler, flush, lines
from pglog_audit.careful_lines import MAX_LINE
from pglog_audit.connections import find_target
from pglog_audit.errors import ConfigurationError, UnreachableError
from pglog_audit.event import CALLER_FIELDS
from pglog_audit.line_queue import LineQueue
from pglog_audit.options import HandlerOptions, WriterOptions, check_pool, read_options
from pglog_audit.spool import Spool
from tests.support import warnings

OPTIONS = sorted(HandlerOptions.__annotations__)
WHOLE = ["capacity", "max_bytes", "batch_size"]
LEAST_BYTES = 320 * 1024
SECONDS = ["flush_interval", "block_timeout", "connect_timeout", "write_timeout", "shutdown_timeout"]


@pytest.fixture
def pool():
    """A pool that has opened no connection."""
    return psycopg_pool.ConnectionPool("dbname=app", open=False)


def read(conninfo="dbname=app", **options):
    """Return the writer's options."""
    return read_options(conninfo, options)[0]


def test_the_defaults():
    """Without options the documented values hold."""
    assert read() == WriterOptions(
        conninfo="dbname=app",
        pool=None,
        table="audit_log",
        columns=(),
        capacity=100_000,
        max_bytes=32 * 1024 * 1024,
        batch_size=1000,
        flush_interval=0.25,
        block_timeout=0.1,
        connect_timeout=5.0,
        write_timeout=10.0,
        shutdown_timeout=5.0,
    )


@pytest.mark.parametrize("handler", [AuditHandler, PostgresHandler])
@pytest.mark.parametrize("option", OPTIONS)
def test_every_misspelt_option_is_refused(handler, option):
    """The error names the mistake and the option that was meant."""
    misspelt = option[:-1] + option[-1] * 2
    with pytest.raises(ConfigurationError, match=f"unknown option '{misspelt}': did you mean '{option}'"):
        handler("dbname=app", **{misspelt: 1})


@pytest.mark.parametrize("option", ["dsn", "conn_info", "xyzzy", "queue"])
def test_an_unknown_option_is_refused(option):
    """An option that resembles none, or one that is no keyword here, is refused too, with help."""
    with pytest.raises(ConfigurationError, match=f"unknown option '{option}': (did you mean|there are)"):
        AuditHandler("dbname=app", **{option: 1})


def test_an_option_of_audit_handler_alone():
    """PostgresHandler refuses it and says whose it is, in the list of options too."""
    with pytest.raises(ConfigurationError, match=r"^enabled is an option of AuditHandler alone: leave it out, or use"):
        PostgresHandler("dbname=app", enabled=False)
    with pytest.raises(ConfigurationError, match=r"there are conninfo, level, pool, .*, and enabled of AuditHandler$"):
        PostgresHandler("dbname=app", xyzzy=1)


@pytest.mark.parametrize("option", WHOLE)
@pytest.mark.parametrize("value", [0, -1, 1.0, 1.5, "10", None, True, [], float("nan"), float("inf")])
def test_a_size_that_is_none(option, value):
    """Sizes are whole numbers above zero; the error names option and value."""
    with pytest.raises(
        ConfigurationError, match=rf"^{option} is {value!r}: it must be a whole number above 0".replace("[", r"\[")
    ):
        read(**{option: value})


@pytest.mark.parametrize("option", SECONDS)
@pytest.mark.parametrize("value", [-1, "10", True, [], float("nan"), float("inf"), -float("inf")])
def test_a_time_that_is_none(option, value):
    """Times are seconds above zero."""
    with pytest.raises(ConfigurationError, match=f"^{option} is .*: it must be a number above 0"):
        read(**{option: value})


@pytest.mark.parametrize("option", sorted({*SECONDS} - {"block_timeout"}))
@pytest.mark.parametrize("value", [0, None])
def test_a_time_that_may_not_be_missing(option, value):
    """Zero and None have no meaning for a time that something takes."""
    with pytest.raises(ConfigurationError, match=f"^{option} is {value}"):
        read(**{option: value})


@pytest.mark.parametrize("value", [None, 0, 0.0, 5, 0.5])
def test_the_block_timeout(value):
    """None waits as long as it takes, zero never."""
    assert read(block_timeout=value).block_timeout == value


@pytest.mark.parametrize("option", [*WHOLE, *SECONDS])
def test_a_number_is_taken(option):
    """Sizes and times in range arrive."""
    value = LEAST_BYTES if option == "max_bytes" else 7
    assert getattr(read(**{option: value}), option) == value


@pytest.mark.parametrize("option", ["max_bytes", "spool_max_bytes"])
@pytest.mark.parametrize("value", [1, LEAST_BYTES - 1])
def test_too_little_room_for_one_event(tmp_path, option, value):
    """Bytes in which the largest event never fits would lose it each time; the error says how many it needs."""
    with pytest.raises(ConfigurationError, match=f"^{option} is {value}, where .* never fits: give {LEAST_BYTES} or"):
        read(spool=tmp_path / "spool", **{option: value})


def test_the_least_room_is_enough_for_one_event(tmp_path):
    """The largest event is queued without a wait, and its line fits on disk."""
    line_queue = LineQueue(SimpleQueue(), 1000, LEAST_BYTES)
    line_queue.is_attended = True
    assert line_queue.put_at_once("x" * MAX_LINE)
    spool = Spool(tmp_path / "spool", "dbname=app", "writer", max_bytes=LEAST_BYTES)
    assert spool.append([lines.whole("{" + "x" * (MAX_LINE - 1), 2**63, str(UUID(int=0)))]) == 1
    spool.close()


@pytest.mark.parametrize("table", ["log", "audit.log", "My Schema.Audit-Log"])
def test_a_table(table):
    """A name with or without schema is kept."""
    assert read(table=table).table == table


@pytest.mark.parametrize("table", ["", ".", "a.", "a.b.c", "a\0", "x" * 64, 'a"b', "a%b", 5, None, b"log", ["log"]])
def test_a_table_that_is_none(table):
    """A name that would be cut or misread is refused, whatever its type."""
    with pytest.raises(ConfigurationError, match="table is"):
        read(table=table)


def test_columns():
    """A mapping of our fields to columns is kept, in an order that does not depend on the writer's."""
    mapping = {"occurred_at": "created_at", "action": "verb", "id": "event uuid"}
    assert dict(read(columns=mapping).columns) == mapping
    assert read(columns=mapping) == read(columns=dict(reversed(mapping.items())))


def test_columns_of_a_dictconfig_are_resolved():
    """What a dictConfig refers to, ``ext://``, is looked up."""
    columns = ConvertingDict({"action": "ext://logging.BASIC_FORMAT"})
    columns.configurator = logging.config.BaseConfigurator({})
    assert dict(read(columns=columns).columns) == {"action": logging.BASIC_FORMAT}


@pytest.mark.parametrize("columns", ["occurred_at", ["occurred_at"], None, 5, {("a", "b")}])
def test_columns_that_are_no_mapping(columns):
    """The error shows the form."""
    with pytest.raises(ConfigurationError, match=r"columns is .*'occurred_at': 'created_at'"):
        read(columns=columns)


def test_two_fields_in_one_column():
    """One column cannot take two fields."""
    with pytest.raises(ConfigurationError, match="columns maps two fields to one column"):
        read(columns={"user_id": "who", "user_label": "who"})


@pytest.mark.parametrize("enabled", ["false", 0, None])
def test_enabled_is_a_truth_value(enabled):
    """A text that looks false would switch on what it was meant to switch off."""
    with pytest.raises(ConfigurationError, match=r"enabled is .*: it must be True or False"):
        AuditHandler("dbname=app", enabled=enabled)


@pytest.mark.parametrize("field", ["occured_at", "recorded_at", "writer_id", "writer_seq", 5, None, ""])
def test_columns_of_unknown_fields(field):
    """A field that there is not, or that is the writer's own, is refused with the list of fields."""
    with pytest.raises(ConfigurationError, match=f"columns names {field}, which is no field") as caught:
        read(columns={field: "x"})
    assert all(name in str(caught.value) for name in CALLER_FIELDS)


@pytest.mark.parametrize("column", [5, None, ["x"], b"x", ""])
def test_a_column_that_is_no_name(column):
    """The error names the field and what was given."""
    with pytest.raises(ConfigurationError, match=r"columns maps action to .*: name a column"):
        read(columns={"action": column})


@pytest.mark.parametrize("conninfo", [5, b"dbname=app", {"dbname": "app"}, ["dbname=app"], True])
def test_a_conninfo_of_another_type(conninfo):
    """The error names the type, not the value: it may hold a password."""
    with pytest.raises(ConfigurationError, match=f"conninfo is of type {type(conninfo).__name__}"):
        read(conninfo)


def test_a_callable_conninfo_is_not_called():
    """A token that expires is asked for at the first connection, not at configuration."""

    def token():
        raise AssertionError

    assert read(token).conninfo is token


def test_the_drivers_url_is_taken():
    """SQLAlchemy's URL works as the option too."""
    assert conninfo_to_dict(read("postgresql+psycopg://app@db/shop").conninfo)["host"] == "db"


@pytest.mark.parametrize(
    ("environ", "dbname"),
    [
        ({"PGLOG_AUDIT_CONNINFO": "dbname=own", "DATABASE_URL": "postgresql:///url", "PGHOST": "db"}, "own"),
        ({"DATABASE_URL": "postgresql:///url", "PGHOST": "db"}, "url"),
        ({"DATABASE_URL": "mysql:///url", "PGHOST": "db"}, None),
    ],
)
def test_the_environment_stands_in(monkeypatch, environ, dbname):
    """Without conninfo the variables are asked, in their order."""
    monkeypatch.delenv("PGLOG_AUDIT_CONNINFO", raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert conninfo_to_dict(read(None).conninfo).get("dbname") == dbname
    assert conninfo_to_dict(read("dbname=given").conninfo)["dbname"] == "given"


@pytest.mark.parametrize("conninfo", ["", " \n"])
def test_an_empty_conninfo_is_none(monkeypatch, caplog, pool, conninfo):
    """What an unset variable gave leads to no database but that of the environment or the pool, or to a warning."""
    assert read(conninfo, pool=pool).conninfo is None
    assert not read(conninfo).configured
    [warning] = warnings(caplog)
    assert "Give conninfo, which is empty, or set PGLOG_AUDIT_CONNINFO" in warning
    monkeypatch.setenv("PGHOST", "db")
    assert read(conninfo).conninfo == ""
    monkeypatch.setenv("PGLOG_AUDIT_CONNINFO", "dbname=own")
    assert read(conninfo).conninfo == "dbname=own"


@pytest.mark.parametrize("answer", ["", " ", None])
def test_a_callable_that_names_no_database(monkeypatch, answer):
    """It leads to libpq's variables at most, never to libpq's defaults, and may say more the next time."""
    options = read(lambda: answer)
    with pytest.raises(UnreachableError, match="neither PGHOST, PGSERVICE nor PGDATABASE names a database"):
        find_target(options)
    monkeypatch.setenv("PGDATABASE", "app")
    assert find_target(options) == ("", {})


@pytest.mark.parametrize("url", [None, "mysql://app@db/app"])
def test_no_database_is_one_warning(monkeypatch, caplog, url):
    """Without a database there is nothing to write to: one warning says what to set, and logging goes on."""
    if url:
        monkeypatch.setenv("DATABASE_URL", url)
    logger = logging.getLogger("audit")
    logger.addHandler(AuditHandler())
    AuditHandler()
    logger.error("Logo replaced", extra={"audit": {"action": "branding.update"}})
    warnings = [record.getMessage() for record in caplog.records if record.name == "pglog_audit"]
    assert len(warnings) == 1
    assert all(name in warnings[0] for name in ("conninfo", "PGLOG_AUDIT_CONNINFO", "DATABASE_URL"))


@pytest.mark.parametrize("off", [{"enabled": False}, {"PGLOG_AUDIT_DISABLED": "1"}])
def test_a_disabled_handler_needs_no_database(monkeypatch, caplog, off):
    """Switched off, a handler neither warns nor looks for a database."""
    monkeypatch.setenv("PGLOG_AUDIT_DISABLED", off.pop("PGLOG_AUDIT_DISABLED", ""))
    AuditHandler(**off)
    assert caplog.records == []


def test_a_pool(pool):
    """A pool of the user's stands in place of conninfo."""
    assert read(None, pool=pool).pool is pool


def test_a_pool_excludes_a_conninfo(pool):
    """Two databases for one handler are refused."""
    with pytest.raises(ConfigurationError, match="conninfo and pool exclude each other"):
        read("dbname=app", pool=pool)


def test_a_pool_wins_over_the_environment(monkeypatch, pool):
    """Variables are only asked where nothing was given."""
    monkeypatch.setenv("DATABASE_URL", "postgresql:///url")
    assert read(None, pool=pool).conninfo is None


@pytest.mark.parametrize("name", ["AsyncConnectionPool", "AsyncNullConnectionPool"])
def test_an_async_pool_is_refused_by_name(name):
    """A pool that lives in an event loop cannot serve a thread; the error says which pool can."""

    async def make():
        return getattr(psycopg_pool, name)("dbname=app", open=False)

    with pytest.raises(ConfigurationError, match=rf"{name}.*psycopg_pool\.ConnectionPool"):
        read(None, pool=asyncio.run(make()))


@pytest.mark.parametrize(
    "pool", [5, object(), SimpleNamespace(), psycopg_pool.ConnectionPool], ids=["int", "object", "namespace", "class"]
)
def test_a_pool_that_is_none(pool):
    """Another object is refused with its type."""
    with pytest.raises(ConfigurationError, match=rf"pool is a {type(pool).__name__}: it must be"):
        read(None, pool=pool)


@pytest.mark.parametrize("pool", ["", "pool", "app.db", "app:db:pool", ":pool", "app:", "app db:pool"])
def test_a_pools_name_that_is_none(pool):
    """A name is written ``module:attribute``."""
    with pytest.raises(ConfigurationError, match="'module:attribute'"):
        read(None, pool=pool)


def test_a_pools_name_is_not_loaded_at_configuration():
    """The application's module may not be importable while logging is configured: the first record loads it."""
    assert read(None, pool="no_such_module:pool").pool == "no_such_module:pool"


@pytest.mark.parametrize("reference", ["no_such_module:pool", "logging:no_such_name", "logging:INFO"])
def test_a_pools_name_that_leads_nowhere(reference):
    """When it is loaded, the error names the option."""
    with pytest.raises(ConfigurationError, match="pool"):
        check_pool(reference)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("mask", "iban"),
        ("mask", [1]),
        ("unmask", 5),
        ("unmask", [""]),
        ("mask_with", 5),
        ("mask_with", "no_such_module:mask"),
        ("request_id_from", "request_id"),
        ("request_id_from", 5),
        ("service", 5),
        ("service", ["shop"]),
        ("store_message", "no"),
        ("store_message", 0),
    ],
)
@pytest.mark.parametrize("handler", [AuditHandler, PostgresHandler])
def test_options_of_the_formatter_are_checked(handler, option, value):
    """What the formatter takes is refused at configuration too, by name."""
    with pytest.raises(ConfigurationError, match=option):
        handler("dbname=app", **{option: value})


def test_equal_options_are_equal(pool):
    """Two handlers with the same options find the same writer."""
    assert hash(read(pool=None, columns={"action": "verb"})) == hash(read(pool=None, columns={"action": "verb"}))
    assert read(None, pool=pool) == read(None, pool=pool)
    assert read(table="a") != read(table="b")


@pytest.mark.parametrize("handler", [AuditHandler, PostgresHandler])
def test_the_level(handler):
    """The level is logging's own option."""
    assert handler("dbname=app", level="WARNING").level == logging.WARNING
    with pytest.raises(ValueError, match="Unknown level"):
        handler("dbname=app", level="LOUD")


@pytest.mark.parametrize("handler", [AuditHandler, PostgresHandler])
def test_a_formatter_of_text_is_refused(handler):
    """The handler makes rows: another formatter would make lines that no table takes."""
    with pytest.raises(ConfigurationError, match="leave 'formatter' out"):
        handler("dbname=app").setFormatter(logging.Formatter("%(message)s"))


@pytest.mark.parametrize("listener", [False, True])
@pytest.mark.parametrize("timeout", ["x", "5", [5], 10**400])
def test_a_timeout_of_flush_that_is_no_number(listener, timeout):
    """The error names the argument and what it must be."""
    flush_it = AuditQueueListener(SimpleQueue(), PostgresHandler("dbname=app")).flush if listener else flush
    with pytest.raises(ConfigurationError, match=rf"timeout is {re.escape(repr(timeout))}: it must be a number of sec"):
        flush_it(timeout)
