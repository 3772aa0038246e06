"""Which handlers share a writer, and how long it lives."""

import logging
import threading

import pytest

from pglog_audit import AuditHandler
from tests.support import assert_exact, log, sessions, wait_until, writer_threads


@pytest.fixture
def loggers():
    """Return loggers without handlers."""
    loggers = [logging.getLogger(f"audit.{name}") for name in ("web", "jobs", "shell", "mail")]
    for logger in loggers:
        logger.setLevel(logging.INFO)
    return loggers


def writers(database):
    return len(database.rows("SELECT DISTINCT writer_id FROM audit_log"))


def test_first_records_at_the_same_moment_make_one_writer(database, loggers):
    """Four threads that log first, each through a handler of its own, share queue, thread and connection."""
    barrier = threading.Barrier(len(loggers))

    def work(logger):
        barrier.wait()
        log(logger, 50)

    for logger in loggers:
        logger.addHandler(AuditHandler(database.writer))
    threads = [threading.Thread(target=work, args=(logger,)) for logger in loggers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loggers[0].handlers[0].flush(60) == 0
    assert_exact(database, 200)
    assert (writers(database), writer_threads(), sessions(database)) == (1, 1, 1)


def test_other_options_make_another_writer(database, loggers):
    """What differs in the writing side has a writer of its own; what differs in the formatting has not."""
    options = [{}, {"batch_size": 10}, {"service": "shop"}, {"level": "INFO"}]
    for logger, given in zip(loggers, options, strict=True):
        logger.addHandler(AuditHandler(database.writer, **given))
        log(logger, 5)
        assert logger.handlers[0].flush(60) == 0
    assert_exact(database, 20)
    assert (writers(database), writer_threads()) == (2, 2)
    assert [row["service"] for row in database.rows("SELECT service FROM audit_log WHERE service IS NOT NULL")] == [
        "shop"
    ] * 5


def test_the_writer_lives_as_long_as_one_handler_holds_it(database, loggers):
    """Closing one of two handlers ends nothing; closing both ends thread and connection."""
    first, second = (AuditHandler(database.writer) for _ in range(2))
    for logger, handler in zip(loggers, (first, second), strict=False):
        logger.addHandler(handler)
        log(logger, 5)
    first.close()
    log(loggers[1], 5)
    assert second.flush(60) == 0
    assert (writer_threads(), sessions(database)) == (1, 1)
    second.close()
    wait_until(lambda: (writer_threads(), sessions(database)) == (0, 0))
    assert_exact(database, 15)
    assert writers(database) == 1


def test_a_writer_that_ended_goes_on_with_its_numbers(database, loggers):
    """A handler that was closed and is used again keeps writer_id and sequence."""
    handler = AuditHandler(database.writer)
    loggers[0].addHandler(handler)
    for _ in range(3):
        log(loggers[0], 5)
        handler.close()
        wait_until(lambda: (writer_threads(), sessions(database)) == (0, 0))
    assert_exact(database, 15)
    assert writers(database) == 1


def test_handlers_that_come_and_go_under_load_lose_nothing(database, loggers):
    """However often handlers are added, closed and used again at once, each event is one row."""

    def churn(logger):
        for _ in range(25):
            handler = AuditHandler(database.writer)
            logger.addHandler(handler)
            log(logger, 10)
            logger.removeHandler(handler)
            handler.close()

    threads = [threading.Thread(target=churn, args=(logger,)) for logger in loggers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_until(lambda: (writer_threads(), sessions(database)) == (0, 0))
    assert_exact(database, 1_000)
