"""The server goes away, hangs or is full: no event is lost, and none is stored twice."""

from contextlib import ExitStack, suppress
from threading import Event

import psycopg
import pytest

from pglog_audit import catalog
from pglog_audit import stats as all_stats
from tests.conftest import WRITER
from tests.faults.conftest import QUICK, backends, database_of, stopped, terminate_backends
from tests.faults.exact import assert_accounted, settle
from tests.support import configure, flush, is_stuck, log, log_from_threads, stats, wait_until, warnings

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("tcp", [False, True], ids=["socket", "tcp"])
def test_row_01_absent_at_start(make_server, options, caplog, tcp):
    """Events wait in memory, or on disk, until the database is there for the first time."""
    server = make_server(tcp=tcp)
    database = database_of(server)
    server.stop()
    logger = configure(database.writer, **options)
    log(logger, 2_000)
    wait_until(lambda: is_stuck(logger))
    log_from_threads(logger, 4, 250)
    where = "spooled" if "spool" in options else "queued"
    wait_until(lambda: stats(logger)[where] == 3_000)
    assert any("Audit events wait" in text and "cannot connect" in text for text in warnings(caplog))
    server.start()
    settle(logger)
    assert_accounted(database, 3_000)
    wait_until(lambda: not is_stuck(logger))


def test_comes_back_unasked(own_server, own_database, options):
    """Nobody need flush: the writer finds the server by itself."""
    own_server.stop()
    logger = configure(own_database.writer, **options)
    log(logger, 10)
    wait_until(lambda: is_stuck(logger))
    own_server.start()
    wait_until(lambda: stats(logger)["stored"] == 10)
    assert_accounted(own_database, 10)


def test_row_02_immediate_shutdown_mid_batch(own_server, own_database, options):
    """However often the server crashes while it takes a batch, each event is one row."""
    logger = configure(own_database.writer, batch_size=50, **options)
    for _ in range(8):
        before = stats(logger)["stored"]
        log(logger, 1_000)
        wait_until(lambda before=before: stats(logger)["stored"] > before)
        own_server.stop("immediate")
        log(logger, 100)
        own_server.start()
    settle(logger)
    assert_accounted(own_database, 8_800)
    assert stats(logger)["lost"] == {}


def test_row_03_backend_terminated(database, options):
    """The writer connects again at once."""
    logger = configure(database.writer, **options)
    for expected in (1, 2, 3):
        log(logger, 1)
        wait_until(lambda expected=expected: stats(logger)["stored"] == expected)
        terminate_backends(database)
    assert_accounted(database, 3)


def test_row_03_backend_terminated_mid_batch(database, options):
    """A session that ends at any moment costs no event and makes no second row."""
    logger = configure(database.writer, batch_size=20, **options)
    log(logger, 6_000)
    for target in range(1_000, 6_000, 1_000):
        wait_until(lambda target=target: stats(logger)["stored"] >= target)
        terminate_backends(database)
    settle(logger)
    assert_accounted(database, 6_000)
    assert stats(logger)["lost"] == {}


def test_row_08_backend_stopped(database, options):
    """A session that hangs is given up at its deadline, and another one takes its batch."""
    # The row about its start would be under way when the session hangs.
    logger = configure(database.writer, lifecycle=False, **options)
    log(logger, 1)
    flush(logger)
    (backend,) = backends(database)
    with stopped(backend):
        log(logger, 100)
        wait_until(lambda: "did not answer in time" in str(stats(logger)["last_error"]))
        settle(logger)
        assert_accounted(database, 101)
    # What still lies in its socket is the same batch.
    wait_until(lambda: backend not in backends(database))
    assert_accounted(database, 101)


def test_row_08_backend_stopped_between_insert_and_commit(database, options):
    """A batch that hangs half done is sent again, and counts once whether or not the first one ends well."""
    database.execute(
        "CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NULL; END $$"
    )
    database.execute("CREATE TRIGGER hold AFTER INSERT ON audit_log FOR EACH STATEMENT EXECUTE FUNCTION hold()")
    logger = configure(database.writer, **options)
    with psycopg.connect(database.owner) as owner:
        owner.execute("SELECT pg_advisory_xact_lock(1)")
        log(logger, 100)
        wait_until(lambda: database.rows("SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"))
        (backend,) = backends(database)
        with stopped(backend):
            owner.rollback()
            wait_until(lambda: stats(logger)["last_error"] is not None)
            log(logger, 100)
    settle(logger)
    wait_until(lambda: backend not in backends(database))
    assert_accounted(database, 200)


def test_row_08_backend_stopped_while_the_catalog_is_read(database, options, caplog, monkeypatch):
    """Nothing but our own warnings comes of a session that hangs in a transaction without lines."""
    template, halted = catalog.template, ExitStack()

    def halt_before(name):
        if name == "writer_columns" and not is_halted.is_set():
            is_halted.set()
            halted.enter_context(stopped(*backends(database)))
        return template(name)

    is_halted = Event()
    monkeypatch.setattr(catalog, "template", halt_before)
    logger = configure(database.writer, **options)
    with halted:
        log(logger, 1)
        wait_until(lambda: is_halted.is_set() and is_stuck(logger))
        settle(logger)
    assert_accounted(database, 1)
    assert [record.getMessage() for record in caplog.records if record.name.startswith("psycopg")] == []


def test_row_08_postmaster_stopped(own_server, own_database, options):
    """A server that takes connections and says nothing is left at the deadline for connecting."""
    logger = configure(own_database.writer, **options)
    log(logger, 1)
    flush(logger)
    with psycopg.connect(own_database.owner, autocommit=True) as owner, stopped(own_server.pid):
        log(logger, 10)
        flush(logger)  # the session that is there goes on
        owner.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [WRITER])
        log(logger, 100)
        wait_until(lambda: "cannot connect" in str(stats(logger)["problem"]))
        log(logger, 100)
    settle(logger)
    assert_accounted(own_database, 211)


def test_row_12_max_connections_reached(make_server, options):
    """Without a free connection events wait, and those that there are stay unharmed."""
    server = make_server(settings={"max_connections": "8"})
    database = database_of(server)
    logger = configure(database.writer, **options)
    others = _fill(database)
    log(logger, 500)
    wait_until(lambda: is_stuck(logger))
    assert "cannot connect" in stats(logger)["problem"]
    for other in others:
        other.execute("SELECT 1")
        other.close()
    settle(logger)
    assert_accounted(database, 500)


def _fill(database):
    """Take every connection that is left to roles that are no superuser."""
    connections = []
    with suppress(psycopg.OperationalError):
        while True:
            connections.append(psycopg.connect(database.writer, autocommit=True))
    return connections


def test_full_queue_while_the_database_is_away(own_server, own_database, caplog):
    """Calls do not wait for a database that is away; what does not fit is counted, told, and explained in the table."""
    own_server.stop()
    before = all_stats()["lost"].get("queue full", 0)
    logger = configure(own_database.writer, capacity=50, batch_size=10, block_timeout=None, **QUICK)
    log(logger, 1)
    wait_until(lambda: is_stuck(logger))
    # Calls that waited for room would never return.
    log(logger, 499)
    lost = stats(logger)["lost"]
    assert stats(logger)["queued"] + lost["queue full"] == 500
    assert lost["queue full"] > 400
    assert all_stats()["lost"]["queue full"] == before + lost["queue full"]
    (text,) = [text for text in warnings(caplog) if "lost" in text]
    assert "queue full" in text
    assert "ticket.open" in text
    own_server.start()
    flush(logger)
    log(logger, 1)
    flush(logger)
    assert stats(logger)["lost"] == lost
    assert_accounted(own_database, 501, lost=lost)
