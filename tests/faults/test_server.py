"""The server goes away, hangs, is full or turns read-only: no event is lost, and none is stored twice."""

from contextlib import suppress

import psycopg
import pytest

from pglog_audit import stats as all_stats
from tests.conftest import WRITER
from tests.faults.conftest import QUICK, backends, database_of, stopped, terminate_backends
from tests.support import (
    assert_exact,
    configure,
    counts,
    flush,
    is_stuck,
    log,
    log_from_threads,
    stats,
    wait_until,
    warnings,
)

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("tcp", [False, True], ids=["socket", "tcp"])
def test_absent_at_start(make_server, caplog, tcp):
    """Events wait in memory until the database is there for the first time."""
    server = make_server(tcp=tcp)
    database = database_of(server)
    server.stop()
    logger = configure(database.writer, **QUICK)
    log(logger, 2_000)
    wait_until(lambda: is_stuck(logger))
    log_from_threads(logger, 4, 250)
    assert stats(logger)["queued"] == 3_000
    assert any("Audit events wait" in text and "cannot connect" in text for text in warnings(caplog))
    server.start()
    flush(logger)
    assert_exact(database, 3_000)
    assert stats(logger)["problem"] is None


def test_comes_back_unasked(server, database):
    """Nobody need flush: the writer finds the server by itself."""
    server.stop()
    logger = configure(database.writer, **QUICK)
    log(logger, 10)
    wait_until(lambda: is_stuck(logger))
    server.start()
    wait_until(lambda: stats(logger)["stored"] == 10)
    assert_exact(database, 10)


def test_immediate_shutdown_mid_batch(server, database):
    """However often the server crashes while it takes a batch, each event is one row."""
    logger = configure(database.writer, batch_size=50, **QUICK)
    for _ in range(10):
        before = stats(logger)["stored"]
        log(logger, 2_000)
        wait_until(lambda before=before: stats(logger)["stored"] > before)
        server.stop("immediate")
        log(logger, 100)
        server.start()
    flush(logger)
    assert_exact(database, 21_000)
    assert stats(logger)["lost"] == {}


def test_backend_terminated(database):
    """The writer connects again at once."""
    logger = configure(database.writer, **QUICK)
    for expected in (1, 2, 3):
        log(logger, 1)
        # Five times the two seconds that it may take.
        wait_until(lambda expected=expected: stats(logger)["stored"] == expected, timeout=10)
        terminate_backends(database)
    assert_exact(database, 3)


def test_backend_terminated_mid_batch(database):
    """A session that ends at any moment costs no event and makes no second row."""
    logger = configure(database.writer, batch_size=20, **QUICK)
    log(logger, 10_000)
    for target in range(1_000, 10_000, 1_000):
        wait_until(lambda target=target: stats(logger)["stored"] >= target)
        terminate_backends(database)
    flush(logger)
    assert_exact(database, 10_000)
    assert stats(logger)["lost"] == {}


def test_backend_stopped(database):
    """A session that hangs is given up at its deadline, and another one takes its batch."""
    logger = configure(database.writer, **QUICK)
    log(logger, 1)
    flush(logger)
    (backend,) = backends(database)
    with stopped(backend):
        log(logger, 100)
        wait_until(lambda: "did not answer in time" in str(stats(logger)["problem"]), timeout=5)
        flush(logger)
        assert_exact(database, 101)
    # What still lies in its socket is the same batch.
    wait_until(lambda: backend not in backends(database))
    assert_exact(database, 101)


def test_backend_stopped_between_insert_and_commit(database):
    """A batch that hangs half done is sent again, and counts once whether or not the first one ends well."""
    database.execute(
        "CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NULL; END $$"
    )
    database.execute("CREATE TRIGGER hold AFTER INSERT ON audit_log FOR EACH STATEMENT EXECUTE FUNCTION hold()")
    logger = configure(database.writer, **QUICK)
    with psycopg.connect(database.owner) as owner:
        owner.execute("SELECT pg_advisory_xact_lock(1)")
        log(logger, 100)
        wait_until(lambda: database.rows("SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"))
        (backend,) = backends(database)
        with stopped(backend):
            owner.rollback()
            wait_until(lambda: is_stuck(logger), timeout=5)
            log(logger, 100)
    flush(logger)
    wait_until(lambda: backend not in backends(database))
    assert_exact(database, 200)


def test_postmaster_stopped(server, database):
    """A server that takes connections and says nothing is left at the deadline for connecting."""
    logger = configure(database.writer, **QUICK)
    log(logger, 1)
    flush(logger)
    with psycopg.connect(database.owner, autocommit=True) as owner, stopped(server.pid):
        log(logger, 10)
        flush(logger)  # the session that is there goes on
        owner.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [WRITER])
        log(logger, 100)
        wait_until(lambda: "cannot connect" in str(stats(logger)["problem"]), timeout=15)
        log(logger, 100)
    flush(logger)
    assert_exact(database, 211)


def test_server_turns_read_only(database):
    """A demoted primary keeps its sessions: the writer leaves them, and tries again."""
    logger = configure(database.writer, **QUICK)
    log(logger, 1)
    flush(logger)
    first = backends(database)
    database.execute("ALTER SYSTEM SET default_transaction_read_only = on")
    database.execute("SELECT pg_reload_conf()")
    wait_until(lambda: database.rows("SHOW default_transaction_read_only")[0]["default_transaction_read_only"] == "on")
    log(logger, 100)
    wait_until(lambda: "read-only" in str(stats(logger)["problem"]))
    wait_until(lambda: not set(first) & set(backends(database)))
    database.execute("ALTER SYSTEM RESET default_transaction_read_only")
    database.execute("SELECT pg_reload_conf()")
    flush(logger)
    assert_exact(database, 101)
    assert stats(logger)["lost"] == {}


def test_max_connections_reached(make_server):
    """Without a free connection events wait, and those that there are stay unharmed."""
    server = make_server(settings={"max_connections": "8"})
    database = database_of(server)
    logger = configure(database.writer, **QUICK)
    others = _fill(database)
    log(logger, 500)
    wait_until(lambda: is_stuck(logger))
    assert "cannot connect" in stats(logger)["problem"]
    for other in others:
        other.execute("SELECT 1")
        other.close()
    flush(logger)
    assert_exact(database, 500)


def _fill(database):
    """Take every connection that is left to roles that are no superuser."""
    connections = []
    with suppress(psycopg.OperationalError):
        while True:
            connections.append(psycopg.connect(database.writer, autocommit=True))
    return connections


def test_full_queue_while_the_database_is_away(server, database, caplog):
    """Calls do not wait for a database that is away; what does not fit is counted, told, and leaves a gap."""
    server.stop()
    logger = configure(database.writer, capacity=50, batch_size=10, block_timeout=None, **QUICK)
    log(logger, 1)
    wait_until(lambda: is_stuck(logger))
    # Calls that waited for room would never return.
    log(logger, 499)
    lost = stats(logger)["lost"]
    assert stats(logger)["queued"] + lost["queue full"] == 500
    assert lost["queue full"] > 400
    assert all_stats()["lost"]["queue full"] == lost["queue full"]
    (text,) = [text for text in warnings(caplog) if "lost" in text]
    assert "queue full" in text
    assert "ticket.open" in text
    server.start()
    flush(logger)
    log(logger, 1)
    flush(logger)
    rows = 501 - lost["queue full"]
    assert stats(logger)["lost"] == lost
    assert counts(database) == (rows, rows)
    (row,) = database.rows("SELECT min(writer_seq), max(writer_seq), count(DISTINCT writer_seq) FROM audit_log")
    assert (row["min"], row["max"], row["count"]) == (1, 501, rows)
