"""The pair, built by hand; and the standard library's own pair around our handler."""

import logging
from logging.handlers import QueueHandler, QueueListener
from queue import Queue, SimpleQueue
from uuid import uuid4

import psycopg
import pytest

from pglog_audit import (
    AuditFilter,
    AuditFormatter,
    AuditHandler,
    AuditQueueHandler,
    AuditQueueListener,
    ConfigurationError,
    PostgresHandler,
    audit,
    audit_context,
)
from pglog_audit import flush as flush_all
from pglog_audit import stats as all_stats
from tests.support import (
    assert_exact,
    counts,
    log,
    log_from_threads,
    run_program,
    sessions,
    wait_until,
    warnings,
    writer_threads,
)


@pytest.fixture
def logger():
    """Return a logger without handlers."""
    logger = logging.getLogger("audit")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    return logger


def pair(database, queue=None, **options):
    """Return both halves of our pair."""
    queue = queue or SimpleQueue()
    listener = AuditQueueListener(queue, PostgresHandler(database.writer, **options))
    return AuditQueueHandler(queue), listener


def test_a_pair_by_hand_needs_no_start(database, logger):
    """The handler finds the listener by their queue, and the first record starts it."""
    handler, listener = pair(database, service="shop")
    logger.addHandler(handler)
    log(logger, 100)
    logger.info("nothing to do with audit")
    assert handler.flush(60) == 0
    assert_exact(database, 100)
    assert {row["service"] for row in database.rows()} == {"shop"}
    assert (writer_threads(), sessions(database)) == (1, 1)
    listener.stop()
    wait_until(lambda: (writer_threads(), sessions(database)) == (0, 0))


def test_a_stopped_listener_starts_again(database, logger):
    """stop() writes what is queued, may be called twice, and a later record starts the thread again."""
    handler, listener = pair(database)
    logger.addHandler(handler)
    listener.start()
    for expected in (5, 10, 15):
        log(logger, 5)
        listener.stop()
        listener.stop()
        assert counts(database) == (expected, expected)
    assert_exact(database, 15)


def test_start_twice_makes_one_thread(database, logger):
    """A second start() changes nothing."""
    handler, listener = pair(database)
    logger.addHandler(handler)
    listener.start()
    listener.start()
    log(logger, 1)
    assert handler.flush(60) == 0
    assert writer_threads() == 1
    listener.stop()


def test_the_pair_bears_four_threads(database, logger):
    """Nothing is lost, nothing comes twice, and the numbers have no gap."""
    handler, _listener = pair(database)
    logger.addHandler(handler)
    log_from_threads(logger, 4, 2_500)
    assert handler.flush(60) == 0
    assert_exact(database, 10_000)


@pytest.mark.parametrize("size", [1, 20])
def test_a_bounded_queue_makes_callers_wait(database, logger, size):
    """A queue with a bound of its own loses nothing to a healthy database, like the option capacity."""
    handler, _listener = pair(database, Queue(size), block_timeout=None)
    logger.addHandler(handler)
    log_from_threads(logger, 4, 250)
    assert handler.flush(60) == 0
    assert_exact(database, 1_000)


def test_two_handlers_share_one_listener(database, logger):
    """Two loggers may feed one queue; the writer ends only when both have let go."""
    queue = SimpleQueue()
    first, listener = pair(database, queue)
    second = AuditQueueHandler(queue)
    for handler in (first, second):
        logger.addHandler(handler)
    log(logger, 10)
    assert first.flush(60) == 0
    first.close()
    log(logger, 10)
    assert second.flush(60) == 0
    assert_exact(database, 40)
    first.close()
    second.close()
    wait_until(lambda: writer_threads() == 0)
    assert listener.flush() == 0


def test_the_listener_takes_one_postgres_handler(database):
    """Without one, with two or with another one the error says so at once."""
    ours = PostgresHandler(database.writer)
    for handlers in ([], [ours, ours], [logging.NullHandler()], [AuditHandler(database.writer)]):
        with pytest.raises(ConfigurationError, match=r"exactly one pglog_audit\.PostgresHandler"):
            AuditQueueListener(SimpleQueue(), *handlers)


def test_another_listener_is_refused(database):
    """The handler's listener must be ours: Python's own starts no writer."""
    handler = AuditQueueHandler(SimpleQueue())
    with pytest.raises(ConfigurationError, match=r"'listener': 'pglog_audit\.AuditQueueListener'"):
        handler.listener = QueueListener(handler.queue)


def test_a_text_formatter_is_refused(database):
    """Each half says at once that it makes rows, not text."""
    for handler in (*pair(database)[:1], PostgresHandler(database.writer), AuditHandler(database.writer)):
        with pytest.raises(ConfigurationError, match="leave 'formatter' out"):
            handler.setFormatter(logging.Formatter("%(message)s"))
        handler.setFormatter(AuditFormatter())


@pytest.mark.parametrize("queue", [SimpleQueue, Queue])
def test_a_stock_pair_takes_context_and_snapshot_in_the_calling_thread(database, logger, queue):
    """An AuditFilter on the queue side is all that Python's own pair needs."""
    queue = queue()
    handler = QueueHandler(queue)
    handler.addFilter(AuditFilter())
    logger.addHandler(handler)
    postgres = PostgresHandler(database.writer)
    listener = QueueListener(queue, postgres)
    user, metadata = uuid4(), {"roles": ["editor"]}
    with audit_context(user_id=user, request_id="req-3"):
        logger.info("Role given to %s", "Ada", extra=audit("role.grant", metadata=metadata))
    metadata["roles"].append("admin")
    logger.info("nothing to do with audit")
    listener.start()
    listener.stop()
    postgres.close()
    (row,) = database.rows()
    assert (row["user_id"], row["request_id"], row["metadata"]) == (user, "req-3", {"roles": ["editor"]})
    assert row["message"] == "Role given to Ada"
    assert row["recorded_at"] >= row["occurred_at"]


@pytest.mark.parametrize("listener", [QueueListener, AuditQueueListener])
def test_a_stock_pair_without_our_filter_is_told(database, logger, listener, caplog):
    """Without AuditFilter the rows lack who acted, and a warning says what to put where."""
    queue = SimpleQueue()
    logger.addHandler(QueueHandler(queue))
    postgres = PostgresHandler(database.writer)
    running = listener(queue, postgres)
    running.start()
    with audit_context(user_label="alice"):
        log(logger, 3)
    running.stop()
    postgres.close()
    wait_until(lambda: counts(database) == (3, 3))
    assert {row["user_label"] for row in database.rows()} == {None}
    [warning] = warnings(caplog)
    assert "put pglog_audit.AuditFilter into the filters of the QueueHandler" in warning


def test_a_stock_pair_configured_twice_loses_nothing(database, logger):
    """Each pair writes what went through it, and leaves no connection behind."""
    for _ in range(2):
        queue = SimpleQueue()
        handler, postgres = QueueHandler(queue), PostgresHandler(database.writer)
        handler.addFilter(AuditFilter())
        listener = QueueListener(queue, postgres)
        listener.start()
        logger.addHandler(handler)
        log(logger, 10)
        logger.removeHandler(handler)
        listener.stop()
        postgres.close()
    assert_exact(database, 20)
    wait_until(lambda: sessions(database) == 0)


def test_a_stock_queue_handler_before_our_listener(database, logger):
    """Records that a stock QueueHandler queued are batched by our listener, and flush waits for them."""
    queue = SimpleQueue()
    handler = QueueHandler(queue)
    handler.addFilter(AuditFilter())
    logger.addHandler(handler)
    listener = AuditQueueListener(queue, PostgresHandler(database.writer))
    listener.start()
    for expected in (1_000, 2_000):
        log(logger, 1_000)
        assert listener.flush(60) == 0
        assert counts(database) == (expected, expected)
    assert_exact(database, 2_000)
    listener.stop()


def test_a_stock_queue_handler_before_our_listener_at_exit(database):
    """A script with that pair ends without a loss and without a false alarm."""
    result = run_program("stock_queue_handler.py", database.writer, "3000")
    assert (result.returncode, result.stderr) == (0, "")
    assert_exact(database, 3_000)


def test_the_postgres_handler_alone_writes_at_once(database, logger):
    """Behind no queue the row is there when the log call returns."""
    handler = PostgresHandler(database.writer)
    logger.addHandler(handler)
    for expected in (1, 2, 3):
        log(logger, 1)
        assert counts(database) == (expected, expected)
    assert_exact(database, 3)
    handler.close()
    wait_until(lambda: sessions(database) == 0)
    log(logger, 1)
    assert_exact(database, 4)
    handler.close()


def test_the_postgres_handler_alone_survives_a_lost_connection(database, logger):
    """A connection that died since the last record costs no event."""
    handler = PostgresHandler(database.writer)
    logger.addHandler(handler)
    for _ in range(3):
        log(logger, 1)
        database.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'pglog_writer'")
    assert_exact(database, 3)
    handler.close()


def test_the_postgres_handler_alone_tells_of_a_loss(database, logger, caplog):
    """What cannot be written at once is lost: told with its action, and nothing is raised."""
    handler = PostgresHandler("host=/nowhere dbname=none")
    logger.addHandler(handler)
    user = uuid4()
    log(logger, 1, user_id=user)
    assert handler.account.stats()["lost"] == {"not stored": 1}
    (text,) = warnings(caplog)
    assert "ticket.open" in text
    assert str(user) in text
    assert "/nowhere" in text


def test_the_postgres_handler_alone_bears_threads(database, logger):
    """Threads that share it take turns, and the numbers have no gap."""
    handler = PostgresHandler(database.writer)
    logger.addHandler(handler)
    log_from_threads(logger, 4, 50)
    assert_exact(database, 200)
    handler.close()


def test_a_signal_handler_that_audits_through_the_postgres_handler_alone(database):
    """A log call interrupted by another one in the same thread does not deadlock, and no event vanishes untold."""
    result = run_program("signal_alone.py", database.writer, timeout=60)
    assert result.returncode == 0, result.stderr
    logged, lost = map(int, result.stdout.split())
    assert counts(database)[0] + lost == logged


def test_the_pair_counts_in_flush_and_stats_of_the_process(database, logger):
    """flush() and stats() of the package see writers that no AuditHandler made."""
    handler, _listener = pair(database)
    logger.addHandler(handler)
    before = all_stats()["stored"]
    with psycopg.connect(database.owner) as owner:
        owner.execute("LOCK TABLE audit_log IN ACCESS EXCLUSIVE MODE")
        log(logger, 3)
        assert flush_all(0) == 3
        assert all_stats()["queued"] == 3
    assert flush_all(60) == 0
    assert all_stats()["stored"] == before + 3
