"""stats(): what became of all events of the process, whoever wrote them."""

import gc
import logging
import os
import threading
import weakref
from logging.config import dictConfig
from queue import SimpleQueue

import pytest

import pglog_audit
from pglog_audit import AuditHandler, AuditQueueHandler, AuditQueueListener, PostgresHandler
from tests.support import configure, flush, handler_of, log, wait_until, writer_threads

pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # of a fork while threads run
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="only POSIX forks")
COUNTERS = ("stored", "duplicates", "spooled", "rejected", "unjournaled", "restarts")


@pytest.fixture
def counted():
    """Return what tells how much was counted since the test began, without what is zero."""
    before = pglog_audit.stats()

    def counted():
        now = pglog_audit.stats()
        counts = {name: now[name] - before[name] for name in COUNTERS}
        lost = {f"lost: {reason}": count - before["lost"].get(reason, 0) for reason, count in now["lost"].items()}
        return {name: count for name, count in (counts | lost).items() if count}

    return counted


@pytest.fixture
def logger():
    logger = logging.getLogger("audit")
    logger.setLevel(logging.INFO)
    return logger


def gauges():
    """Return what stats() tells of now."""
    stats = pglog_audit.stats()
    return tuple(stats[name] for name in ("queued", "oldest_unsent", "problem", "spool_bytes"))


def wait_until_gone(*references):
    """Wait until what *references* refer to is garbage."""
    wait_until(lambda: gc.collect() is not None and not any(reference() for reference in references))


def test_counts_outlive_the_writer(database, counted):
    """The handler is taken away by dictConfig, and nothing is left of its writer but its numbers."""
    logger = configure(database.writer)
    log(logger, 3)
    flush(logger)
    told = pglog_audit.stats()
    handler, writer = weakref.ref(handler_of(logger)), weakref.ref(handler_of(logger)._writer)
    dictConfig({"version": 1, "disable_existing_loggers": False, "loggers": {"audit": {"handlers": []}}})
    wait_until_gone(handler, writer)
    assert pglog_audit.stats() == told
    assert counted() == {"stored": 3}


def test_a_handler_counts_what_its_own_writer_did(database, counted):
    """The numbers of a writer that is gone, or of another one, are none of its."""
    logger = configure(database.writer)
    log(logger, 3)
    flush(logger)
    logger = configure(database.writer, batch_size=10)
    assert handler_of(logger).stats()["stored"] == 0
    log(logger, 2)
    flush(logger)
    assert handler_of(logger).stats()["stored"] == 2
    assert counted() == {"stored": 5}


def test_each_event_is_counted_once_while_writers_come_and_go(database, counted):
    """Threads whose handlers are gone at once, each with a writer of its own, add up to what they logged."""

    def churn(number):
        logger = logging.getLogger(f"audit.{number}")
        logger.setLevel(logging.INFO)
        for n in range(10):
            handler = AuditHandler(database.writer, batch_size=1 + number * 10 + n)
            logger.addHandler(handler)
            log(logger, 5)
            assert handler.flush(60) == 0
            logger.removeHandler(handler)
            handler.close()

    threads = [threading.Thread(target=churn, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    told = [0]
    while any(thread.is_alive() for thread in threads):
        told.append(pglog_audit.stats()["stored"])
    wait_until(lambda: writer_threads() == 0)
    gc.collect()
    assert told == sorted(told)
    assert counted() == {"stored": 200}


def test_a_postgres_handler_alone_counts(database, logger, counted):
    """What it stores and what it loses is in stats(), also when it is gone."""
    for conninfo, times in ((database.writer, 3), ("host=/nowhere dbname=none", 2)):
        handler = PostgresHandler(conninfo)
        logger.addHandler(handler)
        log(logger, times)
        logger.removeHandler(handler)
        handler.close()
    expected = {"stored": 3, "lost: not stored": 2}
    assert counted() == expected
    assert "/nowhere" in pglog_audit.stats()["last_error"]
    gone = weakref.ref(handler)
    del handler
    wait_until_gone(gone)
    assert counted() == expected


def test_a_postgres_handler_with_a_listener_counts_once(database, logger, counted):
    """Handler and listener of a pair are one writer."""
    queue = SimpleQueue()
    _listener = AuditQueueListener(queue, PostgresHandler(database.writer))
    handler = AuditQueueHandler(queue)
    logger.addHandler(handler)
    log(logger, 3)
    assert handler.flush(60) == 0
    assert counted() == {"stored": 3}


@forks
@pytest.mark.parametrize("kind", [AuditHandler, PostgresHandler])
def test_a_forked_child_counts_its_own(database, logger, counted, kind):
    """It starts at zero, with its parent's handler and without it; the numbers of the parent stay."""
    zero = dict.fromkeys(COUNTERS, 0) | {"lost": {}, "last_stored": None, "last_error": None, "last_error_at": None}
    handler = kind(database.writer)
    logger.addHandler(handler)
    log(logger, 3)
    handler.flush()
    wait_until(lambda: counted() == {"stored": 3})
    pid = os.fork()
    if pid == 0:
        try:
            stats = pglog_audit.stats()
            assert {name: stats[name] for name in zero} == zero
            log(logger, 2)
            handler.flush()
            wait_until(lambda: pglog_audit.stats()["stored"] == 2)
            logger.removeHandler(handler)
            handler.close()
            handler = None
            gc.collect()
            assert pglog_audit.stats()["stored"] == 2
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0
    assert counted() == {"stored": 3}


@forks
def test_a_postgres_handler_alone_tells_what_is_on_disk(database, logger, tmp_path):
    """How long its events have waited there, why, and how many bytes, until they are rows; a child has none."""
    gc.collect()  # no writer of another test is to count
    handler = PostgresHandler(database.writer, spool=str(tmp_path))
    logger.addHandler(handler)
    log(logger, 1)
    assert gauges() == (0, None, None, 0)
    database.execute("ALTER TABLE audit_log RENAME TO elsewhere")
    log(logger, 1)
    queued, age, problem, size = gauges()
    assert (queued, age >= 0, "audit_log" in problem, size > 0) == (0, True, True, True)
    pid = os.fork()
    if pid == 0:
        os._exit(gauges() != (0, None, None, None))
    assert os.waitpid(pid, 0)[1] == 0
    database.execute("ALTER TABLE elsewhere RENAME TO audit_log")
    log(logger, 1)
    assert gauges() == (0, None, None, 0)
    handler.close()
