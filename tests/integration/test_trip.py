"""The whole trip, from the log call to the row."""

import asyncio
import logging
import sys
import threading
import time
from datetime import UTC, datetime
from uuid import UUID, uuid4

import psycopg
import pytest

from pglog_audit import AuditQueueListener, audit, audit_context, processes
from pglog_audit import flush as flush_all
from pglog_audit.account import Account
from pglog_audit.line_queue import LineQueue
from tests.support import (
    assert_exact,
    configure,
    counts,
    flush,
    handler_of,
    log,
    log_from_threads,
    run_program,
    stats,
    wait_until,
    warnings,
)


@pytest.fixture
def switch_often():
    """Let threads take turns between any two steps, as they do on a busy machine."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_every_field_reaches_its_column(database):
    """What a log call says of an event stands in the columns of those names."""
    logger = configure(database.writer, service="shop")
    fields = {
        "user_id": uuid4(),
        "event_id": uuid4(),
        "entity_type": "branding",
        "target_id": uuid4(),
        "metadata": {"field": "logo", "sizes": [1, 2.5, None, True], "nested": {"ä": "ö"}},
        "request_id": "req-1",
        "outcome": "denied",
        "changes": {"logo": ["a.png", "b.png"]},
        "user_label": "Ada",
        "target_label": "Summer fair",
        "tenant_id": uuid4(),
        "impersonator_id": uuid4(),
        "user_agent": "curl/8",
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "occurred_at": datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    }
    logger.info("Logo of %s replaced", "fair", extra=audit("branding.update", source_ip="192.0.2.7", **fields))
    flush(logger)
    (row,) = database.rows()
    assert {name: row[name] for name in fields} == fields
    assert (row["action"], str(row["source_ip"])) == ("branding.update", "192.0.2.7")
    assert (row["message"], row["service"], row["writer_seq"]) == ("Logo of fair replaced", "shop", 1)
    assert row["id"].version == 7
    assert row["writer_id"].version == 7


def test_the_record_says_when_and_how_it_went(database):
    """Without fields of that name, time and outcome are the record's; the exception's text stays away."""
    logger = configure(database.writer)
    before = datetime.now(UTC)
    try:
        int("hunter2")
    except ValueError:
        logger.exception("Payment refused", extra=audit("payment.create"))
    flush(logger)
    (row,) = database.rows()
    assert before <= row["occurred_at"] <= row["recorded_at"]
    assert (row["outcome"], row["metadata"]) == ("failure", {"exception": "ValueError"})
    assert "hunter2" not in str(row)


def test_the_context_of_the_calling_thread_counts(database):
    """The context is read where the record is logged, not where it is written."""
    logger = configure(database.writer)
    user = uuid4()
    with audit_context(user_id=user, request_id="req-2"):
        log(logger, 1)
    log(logger, 1)
    flush(logger)
    assert [(row["user_id"], row["request_id"]) for row in database.rows()] == [(user, "req-2"), (None, None)]


def test_what_happens_to_the_dict_afterwards_changes_nothing(database):
    """The snapshot is taken in the log call."""
    logger = configure(database.writer, flush_interval=0.5)
    metadata = {"roles": ["editor"]}
    logger.info("Role given", extra=audit("role.grant", metadata=metadata))
    metadata["roles"].append("admin")
    metadata["late"] = True
    flush(logger)
    assert database.rows()[0]["metadata"] == {"roles": ["editor"]}


def test_ordinary_records_make_no_row(database):
    """Only records with an audit extra are taken, by level and filters as everywhere in logging."""
    logger = configure(database.writer)
    handler_of(logger).addFilter(lambda record: "draft" not in record.getMessage())
    logger.info("nothing to see")
    logger.debug("too low", extra=audit("ticket.peek"))
    logger.info("a draft", extra=audit("ticket.draft"))
    logger.info("seen", extra=audit("ticket.open"))
    flush(logger)
    assert [row["message"] for row in database.rows()] == ["seen"]


def test_hundred_thousand_events_of_four_threads_are_exact(database):
    """No line is lost, none comes twice, the numbers have no gap, and each thread's order is kept."""
    logger = configure(database.writer)
    log_from_threads(logger, 4, 25_000)
    flush(logger)
    assert_exact(database, 100_000)
    assert stats(logger)["stored"] == 100_000
    out_of_order = """
        SELECT FROM (
            SELECT (metadata->>'n')::int - lag((metadata->>'n')::int) OVER thread AS step
            FROM audit_log WINDOW thread AS (PARTITION BY entity_type ORDER BY writer_seq)
        ) AS steps
        WHERE step <> 1
    """
    assert database.rows(out_of_order) == []


@pytest.mark.volume
def test_a_million_events_of_a_script_are_a_million_rows(database):
    """A script that logs as fast as it can and ends loses nothing to a healthy database."""
    result = run_program("log_events.py", database.writer, "1000000", python=(), timeout=600)
    assert (result.returncode, result.stderr) == (0, "")
    assert_exact(database, 1_000_000)


def test_a_name_that_is_no_secret_here_is_none_on_the_way(database):
    """What a handler's own options let stand is not masked by the built-in names later."""
    logger = configure(database.writer, unmask=["page_token"])
    logger.info("GET /?page_token=p7&password=x", extra=audit("page.read"))
    flush(logger)
    assert database.rows("SELECT message FROM audit_log WHERE action = 'page.read'") == [
        {"message": "GET /?page_token=p7&password=***"}
    ]


@pytest.mark.parametrize("capacity", [1, 7, 100])
@pytest.mark.parametrize("block_timeout", [5, None])
def test_a_small_queue_loses_nothing_to_a_healthy_database(database, capacity, block_timeout, switch_often):
    """Callers wait for room, however many they are and however small the queue is."""
    logger = configure(database.writer, capacity=capacity, block_timeout=block_timeout, flush_interval=0.01)
    log_from_threads(logger, 16, 100)
    flush(logger)
    assert stats(logger)["lost"] == {}
    assert_exact(database, 1_600)


def test_large_lines_fill_the_queue_by_their_bytes(database):
    """The bound in bytes makes callers wait like the one in lines."""
    logger = configure(database.writer, max_bytes=320 * 1024, block_timeout=None, flush_interval=0.01)
    for _ in range(50):
        logger.info("Report kept", extra=audit("report.keep", metadata={"text": "x" * 90_000}))
    flush(logger)
    assert stats(logger)["lost"] == {}
    assert_exact(database, 50)


def test_nothing_waits_inside_an_event_loop(database):
    """A coroutine that logs into a full queue goes on at once, and the loss is counted and told."""
    logger = configure(database.writer, capacity=10, batch_size=5, block_timeout=None)

    async def serve():
        log(logger, 500)
        # Had one call waited, it would have been for as long as the table is locked.
        assert stats(logger)["problem"] is None

    with psycopg.connect(database.owner) as owner:
        owner.execute("LOCK TABLE audit_log IN ACCESS EXCLUSIVE MODE")
        asyncio.run(serve())
    flush(logger)
    lost = stats(logger)["lost"]
    rows = counts(database)[0]
    assert rows > 0
    assert lost == {"queue full": 500 - rows}


def test_what_is_lost_leaves_a_gap_in_the_numbers(database, caplog):
    """A line without room has a number all the same: the table shows that something is missing, and the log what."""
    logger = configure(database.writer, capacity=10, block_timeout=0)
    user = uuid4()
    with psycopg.connect(database.owner) as owner:
        owner.execute("LOCK TABLE audit_log IN ACCESS EXCLUSIVE MODE")
        log(logger, 2_000, user_id=user)
    flush(logger)
    log(logger, 1)
    flush(logger)
    assert stats(logger)["lost"]["queue full"] + counts(database)[0] == 2_001
    (gap,) = database.rows("SELECT * FROM audit_log WHERE action = 'audit.gap'")
    assert (gap["metadata"]["reason"], gap["outcome"]) == ("queue full", "failure")
    assert gap["metadata"]["count"] == stats(logger)["lost"]["queue full"]
    there = {row["writer_seq"] for row in database.rows("SELECT writer_seq FROM audit_log")}
    explained = {n for first, last in gap["metadata"]["ranges"] for n in range(first, last + 1)}
    assert there | explained == set(range(2_003))
    assert not there & explained
    assert any("ticket.open" in text and str(user) in text for text in warnings(caplog))


def test_a_signal_handler_that_audits_disturbs_nothing(database):
    """A log call interrupted by another one in the same thread neither deadlocks nor shares its number."""
    result = run_program("signal_storm.py", database.writer, "20000")
    assert (result.returncode, result.stderr) == (0, "")
    assert_exact(database, int(result.stdout))


def test_a_finalizer_that_audits_disturbs_nothing(database):
    """The garbage collector may run a ``__del__`` that logs in the middle of a log call."""
    result = run_program("finalizer_storm.py", database.writer, "5000")
    assert (result.returncode, result.stderr) == (0, "")
    assert_exact(database, int(result.stdout))


def test_the_first_log_call_may_be_interrupted_anywhere(database):
    """A signal handler or finalizer that audits while the first event starts the writer does not get a second one."""
    result = run_program("interrupted_start.py", database.writer)
    assert (result.returncode, result.stderr) == (0, "")
    assert int(result.stdout) > 100
    assert_exact(database, int(result.stdout))


def test_a_line_waits_for_no_other_after_an_exception(database, monkeypatch):
    """What was taken from the queue, and is no line yet, is one at the next attempt, without a further event."""
    take_many, failures = LineQueue.take_many, [MemoryError()]

    def fail_once(*args):
        if failures:
            raise failures.pop()
        return take_many(*args)

    monkeypatch.setattr(LineQueue, "take_many", fail_once)
    logger = configure(database.writer)
    log(logger, 1)
    wait_until(lambda: stats(logger)["stored"] == 1)
    assert failures == []


def test_flush_says_what_is_left(database):
    """flush() returns 0 when all is written, and the number of events that still wait when time is up."""
    logger = configure(database.writer)
    assert handler_of(logger).flush() == 0
    with psycopg.connect(database.owner) as owner:
        owner.execute("LOCK TABLE audit_log IN ACCESS EXCLUSIVE MODE")
        log(logger, 3)
        assert handler_of(logger).flush(0.1) == 3
        assert flush_all() == 3
        assert stats(logger)["queued"] == 3
    assert flush_all(60) == 0
    assert counts(database) == (3, 3)


def test_the_end_is_said_though_a_line_came_in_between(database, monkeypatch):
    """A line that another thread logs while the end is to be said, and that is a row right after, delays it."""
    logger = configure(database.writer)
    logger.info("Read", extra=audit("page.read"))
    end, came = AuditQueueListener.end, []

    def end_while_a_line_comes(writer, timeout):
        if not came:
            came.append(logger.info("Read", extra=audit("page.read")))
            is_said = end(writer, timeout)
            wait_until(lambda: stats(logger)["stored"] == 2)
            return is_said
        return end(writer, timeout)

    monkeypatch.setattr(AuditQueueListener, "end", end_while_a_line_comes)
    monkeypatch.setattr(processes, "is_ending", False)  # and again after the test
    processes.drain()
    assert_exact(database, 2)
    assert len(database.rows("SELECT FROM audit_log WHERE action = 'audit.stop'")) == 1


def test_counters_have_what_flush_waited_for(database, monkeypatch):
    """Whoever asks after flush() hears of all that flush() waited for, however slowly it is counted."""
    add = Account.add

    def add_slowly(*args, **options):
        time.sleep(0.2)
        add(*args, **options)

    monkeypatch.setattr(Account, "add", add_slowly)
    logger = configure(database.writer)
    logger.info("Read", extra=audit("page.read"))
    flush(logger)
    assert stats(logger)["stored"] == 1


def test_flush_does_not_wait_for_the_batch_to_grow_old(database):
    """Who flushes gets rows now, not after flush_interval."""
    logger = configure(database.writer, flush_interval=3600)
    for expected in (1, 2, 3):
        log(logger, 1)
        flush(logger)
        assert counts(database) == (expected, expected)


def test_a_batch_is_written_when_its_first_line_is_old_enough(database):
    """Nobody need flush: flush_interval after the first line the batch goes out."""
    logger = configure(database.writer, flush_interval=0.05)
    log(logger, 3)
    wait_until(lambda: counts(database) == (3, 3))


def test_stats_tell_what_became_of_the_events(database):
    """Stored, lost and queued add up to what was logged."""
    logger = configure(database.writer)
    assert stats(logger) == {
        "queued": 0,
        "oldest_unsent": None,
        "stored": 0,
        "duplicates": 0,
        "spooled": 0,
        "rejected": 0,
        "unjournaled": 0,
        "lost": {},
        "last_stored": None,
        "last_error": None,
        "last_error_at": None,
        "problem": None,
        "restarts": 0,
        "spool_bytes": None,
    }
    unchanged = stats(logger)
    before = datetime.now(UTC).timestamp()
    log(logger, 5)
    flush(logger)
    after = stats(logger)
    assert before <= after.pop("last_stored") <= datetime.now(UTC).timestamp()
    del unchanged["last_stored"]
    assert after == {**unchanged, "stored": 5}


def test_many_threads_may_flush_at_once(database):
    """Each of them returns when all that was logged before is written."""
    logger = configure(database.writer, flush_interval=3600)
    left = []

    def log_and_flush():
        log(logger, 50)
        left.append(handler_of(logger).flush(60))

    threads = [threading.Thread(target=log_and_flush) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert left == [0] * 8
    assert_exact(database, 400)


def test_a_conninfo_callable_is_asked_at_each_connect(database):
    """Tokens expire: every connection gets a new one, and only connections do."""
    asked = []

    def conninfo():
        asked.append(threading.current_thread().name)
        return database.writer

    logger = configure(conninfo)
    assert asked == []
    for expected in (1, 2):
        log(logger, 1)
        flush(logger)
        log(logger, 1)
        flush(logger)
        assert asked == ["pglog_audit-writer"] * expected
        database.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'pglog_writer'")
    assert_exact(database, 4)


@pytest.mark.parametrize("answer", [RuntimeError("token hunter2"), "host=\x00 hunter2", None, 7])
def test_a_conninfo_callable_that_fails_is_asked_again(database, caplog, answer):
    """Events wait until it returns something usable; what it said is not repeated."""
    answers = [answer, answer, database.writer]

    def conninfo():
        given = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(given, Exception):
            raise given
        return given

    logger = configure(conninfo)
    log(logger, 3)
    flush(logger)
    assert_exact(database, 3)
    assert warnings(caplog)
    assert "hunter2" not in caplog.text


def test_an_adapter_that_overwrites_extra_is_no_silent_loss(database):
    """An audit extra given to a LoggerAdapter that merges it becomes a row like any other."""

    class Merging(logging.LoggerAdapter):
        def process(self, msg, kwargs):
            return msg, {**kwargs, "extra": {**self.extra, **kwargs.get("extra", {})}}

    logger = configure(database.writer)
    Merging(logger, {"correlation_id": "req-9"}).info("Opened", extra=audit("ticket.open"))
    flush(logger)
    assert [(row["action"], row["request_id"]) for row in database.rows()] == [("ticket.open", "req-9")]


def test_two_processes_are_two_writers(database):
    """writer_id tells them apart, each with numbers of its own, from its start to its stop."""
    for _ in range(2):
        assert run_program("log_events.py", database.writer, "3").returncode == 0
    writers = database.rows(
        "SELECT writer_id, array_agg(writer_seq ORDER BY writer_seq) AS n FROM audit_log GROUP BY writer_id"
    )
    assert [row["n"] for row in writers] == [[0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]
    assert all(isinstance(row["writer_id"], UUID) for row in writers)
