"""The gaps that real writers leave: what they lose they explain, and what is taken from them is seen."""

import os
import socket
from collections import Counter

import psycopg
import pytest

from pglog_audit import AuditLog, processes
from tests.support import configure, flush, is_stuck, log, run_program, start_program, stats, wait_until


@pytest.fixture
def audit_log(database):
    """Return the log as the table's owner reads it."""
    return AuditLog(database.owner)


def end_all():
    """End the writers as the end of the process does."""
    processes.finish(processes.writers(), 60)


def missing(gaps):
    """Return how many events are missing, by kind and reason."""
    found = Counter()
    for gap in gaps:
        if gap.kind != "tail":
            found[gap.kind, gap.reason] += gap.count
    return found


def test_a_program_that_ends_leaves_no_gap(database, audit_log):
    """From its start to its stop each number is a row."""
    assert run_program("log_events.py", database.writer, "2500").returncode == 0
    gaps = audit_log.gaps()
    assert (list(gaps), gaps.writers) == ([], 1)


def test_a_running_writer_has_no_end(database, audit_log):
    """Its tail tells which process to ask."""
    logger = configure(database.writer, service="booking")
    log(logger, 10)
    flush(logger)
    wait_until(lambda: [gap.pid for gap in audit_log.gaps()] == [os.getpid()])
    [tail] = audit_log.gaps()
    assert (tail.kind, tail.first_seq, tail.host, tail.service) == ("tail", 11, socket.gethostname(), "booking")


def test_a_killed_program_has_no_end(database, audit_log):
    """Whatever it had not sent is in its tail, and no event before that is missing."""
    with start_program("end.py", database.writer, "wait", "100") as program:
        wait_until(lambda: database.rows("SELECT FROM audit_log WHERE action = 'audit.start'"))
        program.kill()
    [tail] = audit_log.gaps()
    assert (tail.kind, tail.pid) == ("tail", program.pid)


def test_what_found_no_room_is_explained(database, audit_log):
    """After an outage that the queue could not hold, each missing event has its reason, and the writer its end."""
    logger = configure(database.writer, capacity=100, block_timeout=0, write_timeout=1)
    with psycopg.connect(database.owner) as owner:
        owner.execute("LOCK TABLE audit_log IN ACCESS EXCLUSIVE MODE")
        log(logger, 50)
        wait_until(lambda: is_stuck(logger))
        log(logger, 5_000)
    flush(logger)
    end_all()
    lost = stats(logger)["lost"]
    assert lost["queue full"] > 1_000
    assert missing(audit_log.gaps()) == {("explained", reason): count for reason, count in lost.items()}
    assert [gap.kind for gap in audit_log.gaps() if gap.kind != "explained"] == []


def test_what_the_table_refuses_is_explained(database, audit_log):
    """Events that a constraint keeps out are told one by one."""
    database.execute("ALTER TABLE audit_log ADD CONSTRAINT odd CHECK (writer_seq <= 1 OR writer_seq NOT IN (4, 7, 8))")
    logger = configure(database.writer)
    log(logger, 20)
    flush(logger)
    end_all()
    assert [(gap.kind, gap.first_seq, gap.last_seq, gap.reason) for gap in audit_log.gaps()] == [
        ("explained", 4, 4, "refused"),
        ("explained", 7, 8, "refused"),
    ]


def test_what_a_unique_index_keeps_out_is_explained(database, audit_log):
    """The writer knows only among which events they are; the gaps show which."""
    database.execute("CREATE UNIQUE INDEX one ON audit_log (request_id, occurred_at, (metadata ->> 'n'))")
    logger = configure(database.writer)
    log(logger, 5)
    for _ in range(3):
        log(logger, 1, occurred_at="2026-03-02T12:00:00+00:00", request_id="req-7")
    flush(logger)
    end_all()
    assert missing(audit_log.gaps()) == {("explained", "conflict"): 2}


def test_a_deleted_event_is_seen(database, audit_log):
    """Whoever gets round the guards leaves a gap that no row explains."""
    assert run_program("log_events.py", database.writer, "100").returncode == 0
    database.execute("ALTER TABLE audit_log DISABLE TRIGGER refuse_change")
    database.execute("DELETE FROM audit_log WHERE metadata @> '{\"n\": 41}'")
    [gap] = audit_log.gaps()
    assert (gap.kind, gap.first_seq, gap.last_seq) == ("unexplained", 42, 42)
