"""Configured by dictConfig: by ours, twice, under load, by somebody else's, and wrongly."""

import logging
import sys
import threading
import traceback
from logging.config import dictConfig

import psycopg
import pytest
import uvicorn

from pglog_audit import AuditHandler, audit
from tests.support import (
    assert_exact,
    config,
    configure,
    counts,
    flush,
    handler_of,
    log,
    sessions,
    stats,
    wait_until,
    warnings,
    writer_threads,
)

PASSWORD = "hunter2-very-secret"
CONNINFO = f"postgresql://app:{PASSWORD}@db.example/app"

SINGLE = {"audit": {"class": "pglog_audit.AuditHandler"}}
PAIR = {
    "postgres": {"class": "pglog_audit.PostgresHandler"},
    "audit": {
        "class": "pglog_audit.AuditQueueHandler",
        "queue": "queue.SimpleQueue",
        "listener": "pglog_audit.AuditQueueListener",
        "handlers": ["postgres"],
    },
}
STOCK = {
    "postgres": {"class": "pglog_audit.PostgresHandler"},
    "audit": {"class": "logging.handlers.QueueHandler", "filters": ["audit"], "handlers": ["postgres"]},
}
from_3_12 = pytest.mark.skipif(sys.version_info < (3, 12), reason="dictConfig wires queue and listener from 3.12 on")


def configuration(handlers, **more):
    """Return a dictConfig of *handlers* for the logger ``audit``."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"audit": {"()": "pglog_audit.AuditFilter", "service": "shop"}},
        "handlers": handlers,
        "loggers": {"audit": {"handlers": ["audit"], "level": "INFO", "propagate": False}},
        **more,
    }


def words_of(error):
    """Return what the error and whatever caused it say, and nowhere the password."""
    assert PASSWORD not in "".join(traceback.format_exception(error))
    words = []
    while error is not None:
        words.append(str(error))
        error = error.__cause__ or error.__context__
    assert PASSWORD not in "".join(words)
    return "\n".join(words)


def refusal(handlers):
    """Return what dictConfig says about *handlers*."""
    with pytest.raises(ValueError, match="Unable to configure handler") as caught:
        dictConfig(configuration(handlers))
    return words_of(caught.value)


def single(**options):
    return {"audit": {"class": "pglog_audit.AuditHandler", "conninfo": CONNINFO, **options}}


@pytest.mark.parametrize("handlers", [SINGLE, pytest.param(PAIR, marks=from_3_12)], ids=["single", "pair"])
def test_configured_twenty_times(database, monkeypatch, handlers):
    """Each configuration goes on where the last one stopped; no thread and no connection is left over."""
    monkeypatch.setenv("PGLOG_AUDIT_CONNINFO", database.writer)
    for _ in range(20):
        dictConfig(configuration(handlers))
        log(logging.getLogger("audit"), 10)
    wait_until(lambda: counts(database) == (200, 200))
    assert_exact(database, 200)
    wait_until(lambda: writer_threads() == 1 and sessions(database) == 1)


@pytest.mark.parametrize("handlers", [SINGLE, pytest.param(PAIR, marks=from_3_12)], ids=["single", "pair"])
def test_configured_again_under_load(database, monkeypatch, handlers):
    """Threads that log while dictConfig swaps the handlers lose nothing, and nothing of the swap remains."""
    monkeypatch.setenv("PGLOG_AUDIT_CONNINFO", database.writer)
    dictConfig(configuration(handlers))
    logger = logging.getLogger("audit")
    kept = logger.handlers[0]  # dictConfig takes it from the logger and puts another one there
    logged = []
    stop = threading.Event()

    def work():
        n = 0
        while not stop.is_set():
            # Like a framework's own reference: this one may be closed right now.
            record = logger.makeRecord(
                "audit", logging.INFO, __file__, 1, "Opened", (), None, extra=audit("ticket.open", metadata={"n": n})
            )
            kept.handle(record)
            n += 1
        logged.append(n)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        dictConfig(configuration(handlers))
    stop.set()
    for thread in threads:
        thread.join()
    kept.close()
    wait_until(lambda: counts(database)[0] == sum(logged))
    assert_exact(database, sum(logged))
    kept = None
    logger.handlers.clear()
    dictConfig({"version": 1, "disable_existing_loggers": False})
    wait_until(lambda: (writer_threads(), sessions(database)) == (0, 0))


def test_the_single_entry_takes_the_running_writer_over(database):
    """What waits when dictConfig closes the handler is written by the writer of the next one: one id, one sequence."""
    with psycopg.connect(database.owner) as owner:
        owner.execute("LOCK TABLE audit_log IN ACCESS EXCLUSIVE MODE")
        log(configure(database.writer), 2)
        log(configure(database.writer), 2)
    flush(logging.getLogger("audit"))
    assert_exact(database, 4)
    assert len(database.rows("SELECT DISTINCT writer_id FROM audit_log")) == 1


def test_a_foreign_dictconfig_closes_the_handler_in_vain(database):
    """The logger still points at the handler that somebody else's dictConfig closed: it writes on."""
    logger = configure(database.writer)
    log(logger, 2)
    dictConfig({"version": 1, "disable_existing_loggers": False, "root": {"level": "WARNING"}})
    log(logger, 2)
    uvicorn.Config("app:app")
    log(logger, 2)
    flush(logger)
    assert_exact(database, 6)


def test_logging_goes_on_after_shutdown(database):
    """logging.shutdown() writes what is queued, and a later record is a row as well."""
    logger = configure(database.writer)
    log(logger, 3)
    logging.shutdown()
    assert counts(database) == (3, 3)
    log(logger, 3)
    flush(logger)
    assert_exact(database, 6)


def test_a_closed_handler_leaves_neither_thread_nor_connection(database):
    """A writer that nobody holds writes what is queued and ends."""
    logger = configure(database.writer)
    log(logger, 3)
    handler = handler_of(logger)
    logger.removeHandler(handler)
    handler.close()
    wait_until(lambda: (writer_threads(), sessions(database)) == (0, 0))
    assert_exact(database, 3)


def test_configuring_starts_nothing(database):
    """Before the first audit record there is neither thread nor connection: servers fork in between."""
    logger = configure(database.writer)
    logger.info("nothing to do with audit")
    assert (writer_threads(), sessions(database)) == (0, 0)


def test_warnings_speak_although_dictconfig_disables_loggers(database, caplog):
    """Loggers that dictConfig does not name are disabled, unless it says otherwise; a loss is told all the same."""
    for _ in range(2):
        dictConfig({**config(database.writer, capacity=2, block_timeout=0), "disable_existing_loggers": True})
    logger = logging.getLogger("audit")
    database.execute("ALTER TABLE audit_log RENAME TO elsewhere")
    log(logger, 10)
    wait_until(lambda: stats(logger)["problem"])
    assert any("Audit event lost" in text for text in warnings(caplog))
    database.execute("ALTER TABLE elsewhere RENAME TO audit_log")
    flush(logger)


@from_3_12
def test_a_stock_pair_by_dictconfig(database, monkeypatch):
    """The standard QueueHandler and QueueListener carry audit records too, behind an AuditFilter."""
    monkeypatch.setenv("PGLOG_AUDIT_CONNINFO", database.writer)
    dictConfig(configuration(STOCK))
    logger = logging.getLogger("audit")
    listener = logger.handlers[0].listener
    listener.start()
    log(logger, 5)
    logger.info("nothing to do with audit")
    listener.stop()
    assert_exact(database, 5)
    assert {row["service"] for row in database.rows()} == {"shop"}
    listener.handlers[0].close()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tabel": "audit_log"}, "did you mean 'table'?"),
        ({"flush_intervall": 1}, "did you mean 'flush_interval'?"),
        ({"spoool": "x"}, "unknown option 'spoool'"),
        ({"table": "a.b.c"}, "write name or schema.name"),
        ({"table": ""}, "write name or schema.name"),
        ({"table": 'x"; DROP TABLE y'}, "write name or schema.name"),
        ({"table": "x" * 64}, "1 to 63 bytes"),
        ({"table": None}, "table is None"),
        ({"capacity": 0}, "capacity is 0"),
        ({"batch_size": 2.5}, "batch_size is 2.5"),
        ({"write_timeout": "10"}, "write_timeout is '10'"),
        ({"flush_interval": float("nan")}, "flush_interval is nan"),
        ({"block_timeout": -1}, "block_timeout is -1"),
        ({"columns": {"colour": "color"}}, "colour"),
        ({"columns": {"occurred_at": None}}, "columns maps occurred_at to None"),
        ({"columns": ["occurred_at"]}, "it must map our fields to columns"),
        ({"conninfo": f"postgresql://app:{PASSWORD}@db:not-a-port:1/%zz"}, "conninfo cannot be parsed"),
        ({"conninfo": f"host=db password='{PASSWORD}"}, "conninfo cannot be parsed"),
        ({"conninfo": f"host=db pasword={PASSWORD}"}, "conninfo cannot be parsed"),
        ({"conninfo": 5432}, "conninfo is of type int"),
        ({"conninfo": CONNINFO, "pool": "shop.db:pool"}, "conninfo and pool exclude each other"),
        ({"conninfo": None, "pool": "shop.db"}, "'module:attribute'"),
        ({"conninfo": None, "pool": object()}, "must be a psycopg_pool.ConnectionPool"),
        ({"request_id_from": 7}, "request_id_from must be"),
        ({"request_id_from": "no.such.module:variable"}, "request_id_from='no.such.module:variable' cannot be loaded"),
    ],
)
def test_what_can_never_work_is_refused(options, said):
    """The error comes at configuration, says which option and what to write, and never shows the password."""
    assert said in refusal(single(**options))


def test_a_formatter_is_refused(database):
    """A text formatter would make no rows; the error says so at configuration."""
    with pytest.raises(ValueError, match="Unable to configure handler") as caught:
        dictConfig(
            configuration(
                {"audit": {"class": "pglog_audit.AuditHandler", "conninfo": database.writer, "formatter": "brief"}},
                formatters={"brief": {"format": "%(message)s"}},
            )
        )
    assert "leave 'formatter' out" in words_of(caught.value)


def test_our_formatter_is_no_mistake(database):
    """An AuditFormatter may stand where a formatter is expected, with its own options."""
    dictConfig(
        configuration(
            {"audit": {"class": "pglog_audit.AuditHandler", "conninfo": database.writer, "formatter": "audit"}},
            formatters={"audit": {"()": "pglog_audit.AuditFormatter", "service": "till"}},
        )
    )
    logger = logging.getLogger("audit")
    log(logger, 1)
    flush(logger)
    assert database.rows()[0]["service"] == "till"


@from_3_12
def test_a_pair_without_our_listener_is_refused():
    """Python's own listener would start no writer: the error names the line that is missing."""
    audit_handler = {name: value for name, value in PAIR["audit"].items() if name != "listener"}
    text = refusal({"postgres": {**PAIR["postgres"], "conninfo": CONNINFO}, "audit": audit_handler})
    assert "'listener': 'pglog_audit.AuditQueueListener'" in text


@from_3_12
def test_a_pair_without_its_postgres_handler_is_refused():
    """The listener writes through exactly one PostgresHandler."""
    for handlers in ([], ["console"], ["postgres", "console"]):
        text = refusal(
            {
                "console": {"class": "logging.StreamHandler"},
                "postgres": {**PAIR["postgres"], "conninfo": CONNINFO},
                "audit": {**PAIR["audit"], "handlers": handlers},
            }
        )
        assert "exactly one pglog_audit.PostgresHandler" in text


@pytest.mark.skipif(sys.version_info < (3, 13), reason="dictConfig drops further options of a QueueHandler on 3.12")
def test_options_of_the_writer_are_refused_on_the_queue_side():
    """They belong to the PostgresHandler, and the error says so."""
    text = refusal(
        {
            "postgres": {**PAIR["postgres"], "conninfo": CONNINFO},
            "audit": {**PAIR["audit"], "table": "other"},
        }
    )
    assert "PostgresHandler" in text
    assert "table" in text


def test_without_a_database_nothing_happens_but_one_warning(caplog):
    """Not configured is no error: nothing is written, nothing is started, and one warning says so."""
    for _ in range(3):
        dictConfig(config(None))
        log(logging.getLogger("audit"), 3)
    assert len(warnings(caplog)) == 1
    assert "PGLOG_AUDIT_CONNINFO" in warnings(caplog)[0]
    assert writer_threads() == 0
    assert handler_of(logging.getLogger("audit")).flush() == 0


@pytest.mark.parametrize("value", ["1", "true", "YES", "on"])
def test_the_environment_can_disable_it(database, monkeypatch, caplog, value):
    """PGLOG_AUDIT_DISABLED=1 writes nothing and says nothing."""
    monkeypatch.setenv("PGLOG_AUDIT_DISABLED", value)
    log(configure(database.writer), 3)
    assert (writer_threads(), counts(database), warnings(caplog)) == (0, (0, 0), [])


def test_a_disabled_handler_needs_no_database(caplog):
    """enabled=False, as in a test suite, writes nothing and misses nothing."""
    logger = configure(None, enabled=False)
    log(logger, 3)
    assert (writer_threads(), warnings(caplog)) == (0, [])
    assert stats(logger)["queued"] == 0


def test_the_environment_names_the_database(database, monkeypatch):
    """Without conninfo, PGLOG_AUDIT_CONNINFO counts before DATABASE_URL."""
    monkeypatch.setenv("DATABASE_URL", "postgresql+asyncpg://nobody@192.0.2.1/nowhere")
    monkeypatch.setenv("PGLOG_AUDIT_CONNINFO", database.writer)
    logger = configure(None)
    log(logger, 1)
    flush(logger)
    assert_exact(database, 1)


def test_two_handlers_with_equal_options_share_a_writer(database):
    """Two loggers with a handler each make one thread, one connection and one sequence."""
    loggers = [logging.getLogger(f"audit.{name}") for name in ("web", "jobs")]
    for logger in loggers:
        logger.setLevel(logging.INFO)
        logger.addHandler(AuditHandler(database.writer))
        log(logger, 5)
    for logger in loggers:
        flush(logger)
    assert_exact(database, 10)
    assert (writer_threads(), sessions(database)) == (1, 1)
