"""A pool of the user's in place of a conninfo."""

import logging
import os
import threading

import psycopg
import pytest
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, ConnectionPool, NullConnectionPool

from pglog_audit import AuditHandler, ConfigurationError, PostgresHandler
from pglog_audit import flush as flush_all
from tests.support import assert_exact, configure, counts, flush, log, log_from_threads, sessions, stats, wait_until

shared: ConnectionPool | None = None
"""What ``"tests.integration.test_pool:shared"`` names."""


@pytest.fixture(params=[ConnectionPool, NullConnectionPool], ids=["pool", "null pool"])
def make_pool(request, database):
    """Return a function that opens a pool of the writer's, and close the pools afterwards."""
    pools = []

    def make(**options):
        pool = request.param(database.writer, **{"min_size": 0, "max_size": 2, "open": True, **options})
        pools.append(pool)
        return pool

    yield make
    for pool in pools:
        pool.close()


@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"row_factory": dict_row, "autocommit": True},
        {"row_factory": dict_row, "autocommit": False, "prepare_threshold": 0},
        {"cursor_factory": psycopg.ClientCursor},
        {"cursor_factory": psycopg.RawCursor, "autocommit": True},
    ],
    ids=["plain", "dict_row, autocommit", "prepared", "ClientCursor", "RawCursor"],
)
def test_a_pool_of_any_make_serves(database, make_pool, kwargs):
    """However the user's connections are set up, events become rows, and connections go back as they came."""
    pool = make_pool(max_size=1, kwargs=kwargs)
    logger = configure(None, pool=pool)
    for _ in range(3):
        log(logger, 10)
        flush(logger)
        with pool.connection() as connection:
            assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
            assert connection.autocommit is kwargs.get("autocommit", False)
            assert connection.pgconn.pipeline_status == psycopg.pq.PipelineStatus.OFF
            assert connection._notice_handlers == []
            assert "wait" not in vars(connection)
    assert_exact(database, 30)
    assert stats(logger)["lost"] == {}


def test_the_pool_is_borrowed_for_a_batch_only(database, make_pool):
    """Between batches the application has all of its connections."""
    pool = make_pool(max_size=1)
    logger = configure(None, pool=pool)
    log(logger, 5)
    flush(logger)
    with pool.connection(timeout=5) as connection:
        log(logger, 5)
        assert connection.execute("SELECT 1").fetchone() is not None
    flush(logger)
    assert_exact(database, 10)
    assert pool.get_stats().get("pool_size", 0) <= 1


def test_a_pool_without_a_free_connection_keeps_events_waiting(database, make_pool):
    """An exhausted pool is a database that is away."""
    pool = make_pool(max_size=1)
    logger = configure(None, pool=pool, connect_timeout=0.2)
    with pool.connection():
        log(logger, 5)
        wait_until(lambda: stats(logger)["problem"])
        assert "the pool" in stats(logger)["problem"]
    flush(logger)
    assert_exact(database, 5)


def test_a_pool_by_name(database, make_pool, monkeypatch):
    """``"module:attribute"`` is resolved at the first batch: the pool may be opened after logging is configured."""
    monkeypatch.setattr("tests.integration.test_pool.shared", None)
    logger = configure(None, pool="tests.integration.test_pool:shared")
    monkeypatch.setattr("tests.integration.test_pool.shared", make_pool())
    log(logger, 5)
    flush(logger)
    assert counts(database) == (5, 5)


def test_a_pool_by_a_name_that_is_not_there_yet_keeps_events_waiting(database, make_pool, monkeypatch):
    """Events wait until the name stands for a pool, and the problem says what it stands for now."""
    monkeypatch.setattr("tests.integration.test_pool.shared", None)
    logger = configure(None, pool="tests.integration.test_pool:shared")
    log(logger, 5)
    wait_until(lambda: stats(logger)["problem"])
    assert "pool" in stats(logger)["problem"]
    monkeypatch.setattr("tests.integration.test_pool.shared", make_pool())
    flush(logger)
    assert counts(database) == (5, 5)


def test_an_async_pool_is_refused_by_name(database):
    """It lives in an event loop; the error says what to give instead."""
    pool = AsyncConnectionPool(database.writer, open=False)
    with pytest.raises(ConfigurationError, match=r"AsyncConnectionPool.*needs a psycopg_pool\.ConnectionPool"):
        PostgresHandler(pool=pool)


def test_a_connection_that_dies_in_the_pool_costs_no_event(database, make_pool):
    """The pool's broken connection is thrown away and the batch sent on another one, once."""
    logger = configure(None, pool=make_pool())
    for expected in (5, 10, 15):
        log(logger, 5)
        flush(logger)
        assert_exact(database, expected)
        database.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'pglog_writer'")


def test_a_locked_table_gives_the_connection_back_clean(database, make_pool):
    """A batch that ran into its deadline leaves no transaction open in the user's connection."""
    pool = make_pool(max_size=1)
    logger = configure(None, pool=pool, write_timeout=0.4)
    with psycopg.connect(database.owner) as owner:
        owner.execute("LOCK TABLE audit_log IN ACCESS EXCLUSIVE MODE")
        log(logger, 20)
        wait_until(lambda: stats(logger)["problem"])
        with pool.connection(timeout=10) as connection:
            assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
            assert connection.execute("SELECT 7").fetchone() == (7,)
    flush(logger)
    assert_exact(database, 20)


def test_the_application_and_the_trail_share_a_pool_under_load(database, make_pool):
    """Neither gets the other's results, however they take turns."""
    pool = make_pool(max_size=2)
    logger = configure(None, pool=pool, batch_size=20)
    done = []

    def ask():
        for n in range(100):
            with pool.connection() as connection:
                assert connection.execute("SELECT %s::int", [n]).fetchone() == (n,)
        done.append(True)

    asking = threading.Thread(target=ask)
    asking.start()
    log_from_threads(logger, 2, 500)
    asking.join()
    flush(logger)
    assert done
    assert_exact(database, 1_000)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="only POSIX forks")
def test_a_forked_child_leaves_an_inherited_pool_alone(database, make_pool):
    """The parent's pool is dead in the child, which opens a connection of its own with the pool's parameters."""
    pool = make_pool(kwargs={"row_factory": dict_row, "application_name": "shop"})
    logger = configure(None, pool=pool)
    log(logger, 10)
    flush(logger)
    pid = os.fork()
    if pid == 0:
        log(logger, 10)
        os._exit(logger.handlers[0].flush(30))
    assert os.waitpid(pid, 0)[1] == 0
    log(logger, 10)
    flush(logger)
    assert_exact(database, 30)
    assert len(database.rows("SELECT DISTINCT writer_id FROM audit_log")) == 2


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="only POSIX forks")
@pytest.mark.parametrize("handler_class", [AuditHandler, PostgresHandler])
def test_the_parents_session_of_an_inherited_pool_survives(database, handler_class):
    """A child that logs, and closes its handler, leaves the connection in its parent's pool open and usable."""
    with ConnectionPool(database.writer, min_size=1, max_size=1, open=True) as pool:
        logger = logging.getLogger("audit")
        logger.setLevel(logging.INFO)
        logger.addHandler(handler_class(pool=pool))
        log(logger, 5)
        assert flush_all(60) == 0
        with pool.connection() as connection:
            before = connection.info.backend_pid
        pid = os.fork()
        if pid == 0:
            log(logger, 5)
            logger.handlers[0].close()
            os._exit(flush_all(30))
        assert os.waitpid(pid, 0)[1] == 0
        with pool.connection() as connection:
            assert connection.info.backend_pid == before
            assert connection.execute("SELECT 1").fetchone() == (1,)
        log(logger, 5)
        assert flush_all(60) == 0
        with pool.connection() as connection:
            assert connection.info.backend_pid == before
        assert_exact(database, 15)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="only POSIX forks")
def test_a_forked_child_asks_the_pools_callables(database):
    """A pool may be given callables for conninfo and parameters; the child asks them, too."""
    with ConnectionPool(
        lambda: database.writer, kwargs=lambda: {"application_name": "shop"}, min_size=0, max_size=1, open=True
    ) as pool:
        logger = configure(None, pool=pool)
        log(logger, 10)
        flush(logger)
        pid = os.fork()
        if pid == 0:
            log(logger, 10)
            os._exit(logger.handlers[0].flush(30))
        assert os.waitpid(pid, 0)[1] == 0
        assert_exact(database, 20)


def test_the_postgres_handler_alone_borrows_too(database, make_pool):
    """Without a queue each record borrows a connection for as long as its row takes."""
    handler = PostgresHandler(pool=make_pool(max_size=1))
    logger = logging.getLogger("audit")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    log_from_threads(logger, 3, 10)
    assert_exact(database, 30)
    handler.close()
    assert sessions(database) <= 1
