"""A standby takes over, and a pooler stands in between: the trail is whole, or its gaps are told."""

import itertools
import shutil
import tempfile
import threading
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pglog_audit import AuditLog
from pglog_audit.doctor import Target, examine
from tests.faults.bouncer import Bouncer
from tests.faults.conftest import backends, database_of
from tests.faults.exact import assert_accounted, settle
from tests.support import configure, counts, flush, is_stuck, log, stats, wait_until

pytestmark = pytest.mark.faults


def multi_host(*databases):
    """Return the conninfo of whichever of *databases* takes writes."""
    parts = [conninfo_to_dict(database.writer) for database in databases]
    hosts = {name: ",".join(str(part[name]) for part in parts) for name in ("host", "port")}
    return make_conninfo(databases[0].writer, **hosts, target_session_attrs="read-write", connect_timeout=2)


def received(primary, standby):
    """Tell whether *standby* has replayed all that *primary* wrote."""
    (there,) = primary.rows("SELECT pg_current_wal_lsn() AS lsn")
    (row,) = standby.rows("SELECT pg_last_wal_replay_lsn() >= %s AS is_there", there["lsn"])
    return row["is_there"]


def promote(standby):
    """Make the standby a primary."""
    assert standby.rows("SELECT pg_promote(true, 60)") == [{"pg_promote": True}]


def cut_off(standby):
    """End the replication to *standby*, as a network does that fails between the two."""
    standby.execute("ALTER SYSTEM SET primary_conninfo = ''")
    standby.execute("SELECT pg_reload_conf()")
    wait_until(lambda: not standby.rows("SELECT FROM pg_stat_wal_receiver"))


def test_row_11_synchronous_standby_promoted(make_server, options):
    """What was told to be stored is on the standby, and what was not is sent to it: exact."""
    server = make_server(settings={"synchronous_standby_names": "*"})
    primary = database_of(server)
    standby = database_of(make_server(standby_of=server))
    logger = configure(multi_host(primary, standby), batch_size=50, **options)
    log(logger, 10)
    flush(logger)
    log(logger, 2_000)
    wait_until(lambda: stats(logger)["stored"] > 10)
    server.stop("immediate")
    log(logger, 100)
    wait_until(lambda: is_stuck(logger))
    promote(standby)
    settle(logger)
    assert_accounted(standby, 2_110)
    assert stats(logger)["lost"] == {}


def test_row_11_asynchronous_standby_promoted(make_server, options):
    """What the primary took to its grave is what the table lists as unexplained, and nothing else is."""
    server = make_server()
    primary = database_of(server)
    standby = database_of(make_server(standby_of=server))
    logger = configure(multi_host(primary, standby), **options)
    log(logger, 10)
    flush(logger)
    wait_until(lambda: counts(primary)[0] == 10 and received(primary, standby))
    cut_off(standby)
    log(logger, 20)
    wait_until(lambda: stats(logger)["stored"] == 30)
    server.stop("immediate")
    log(logger, 5)
    wait_until(lambda: is_stuck(logger))
    promote(standby)
    log(logger, 5)
    settle(logger)
    wait_until(lambda: counts(standby) == (20, 20))
    gaps = AuditLog(standby.owner).gaps()
    assert [(gap.first_seq, gap.last_seq) for gap in gaps if gap.kind == "unexplained"] == [(11, 30)]


def test_row_10_standby_alone(make_server, options):
    """A standby is told as what it is and left again, while events wait; once it is promoted, they are rows."""
    server = make_server()
    primary = database_of(server)
    standby = database_of(make_server(standby_of=server))
    wait_until(lambda: received(primary, standby))
    logger = configure(standby.writer, **options)
    log(logger, 100)
    wait_until(lambda: "during recovery" in str(stats(logger)["problem"]))
    insert = {each.name: each for each in examine(Target(standby.writer, "the test")).findings}["insert"]
    assert (insert.status, "25006" in insert.text, "standby" in insert.advice) == ("wrong", True, True)
    wait_until(lambda: not backends(standby))
    promote(standby)
    settle(logger)
    assert_accounted(standby, 100)
    assert stats(logger)["lost"] == {}


@pytest.fixture
def scratch():
    """Return a directory that can be made where the server's user gets to."""
    path = Path(tempfile.mkdtemp(prefix="pglog-audit-bouncer-"))
    path.chmod(0o755)
    yield path / "bouncer"
    shutil.rmtree(path)


@pytest.fixture
def bouncer(database, scratch):
    """Start a PgBouncer before the server."""
    with Bouncer(scratch, database.writer) as bouncer:
        yield bouncer


def test_row_13_pgbouncer_absent_at_start(database, bouncer, options):
    """Events wait until there is a pooler."""
    bouncer.kill()
    logger = configure(bouncer.conninfo, **options)
    log(logger, 500)
    wait_until(lambda: is_stuck(logger))
    bouncer.start()
    settle(logger)
    assert_accounted(database, 500)


def test_row_13_pgbouncer_paused(database, bouncer, options):
    """A pooler that lets nothing through holds the writer until its deadline, and costs no event."""
    logger = configure(bouncer.conninfo, **options)
    log(logger, 1)
    flush(logger)
    bouncer.pause()
    log(logger, 500)
    wait_until(lambda: is_stuck(logger))
    assert counts(database) == (1, 1)
    log(logger, 500)
    bouncer.resume()
    settle(logger)
    assert_accounted(database, 1_001)
    assert stats(logger)["lost"] == {}


def test_row_13_pgbouncer_killed_mid_batch(database, bouncer, options):
    """However often the pooler dies, each event is one row."""
    logger = configure(bouncer.conninfo, batch_size=50, **options)
    for _ in range(5):
        before = stats(logger)["stored"]
        log(logger, 500)
        wait_until(lambda before=before: stats(logger)["stored"] > before)
        bouncer.kill()
        log(logger, 50)
        bouncer.start()
    settle(logger)
    assert_accounted(database, 2_750)
    assert stats(logger)["lost"] == {}


def test_row_13_pgbouncer_shared(database, bouncer):
    """Others that wait for the pooler's one server have it as soon as a batch is over."""
    logger = configure(bouncer.conninfo)
    finished, queries = threading.Event(), itertools.count()
    done = 0

    def query():
        nonlocal done
        with psycopg.connect(bouncer.conninfo, autocommit=True, prepare_threshold=None) as neighbour:
            while not finished.is_set():
                neighbour.execute("SELECT 1")
                done = next(queries)

    neighbours = [threading.Thread(target=query) for _ in range(3)]
    for each in neighbours:
        each.start()
    try:
        for _ in range(300):
            log(logger, 20)
            flush(logger)
            before = done
            wait_until(lambda before=before: done > before + 5)
    finally:
        finished.set()
        for each in neighbours:
            each.join()


def test_row_13_hostile_neighbour(make_server, scratch, options):
    """A session that somebody left with a table of our name and without durability gets rows into the right one."""
    # Only a commit that asks for it reaches the disk before the crash.
    server = make_server(settings={"wal_writer_delay": "10s"})
    database = database_of(server)
    with Bouncer(scratch, database.writer) as bouncer:
        with psycopg.connect(bouncer.conninfo, autocommit=True, prepare_threshold=None) as neighbour:
            neighbour.execute("CREATE TEMP TABLE audit_log (action text)")
            neighbour.execute("SET synchronous_commit = off")
            logger = configure(bouncer.conninfo, **options)
            log(logger, 100)
            wait_until(lambda: stats(logger)["stored"] == 100)
        server.stop("immediate")
        server.start()
        settle(logger)
        # What was stored is in the right table, and on the disk.
        assert_accounted(database, 100)
