"""The trip by way of the disk: what the database does not take now comes back, and losses stand in the table."""

import json
import logging
import time
from itertools import pairwise

import psycopg
import pytest

from pglog_audit import AuditHandler, ConfigurationError, PostgresHandler, audit, processes
from pglog_audit.spool import read_statuses
from tests.support import (
    assert_exact,
    configure,
    counts,
    flush,
    handler_of,
    is_stuck,
    log,
    log_from_threads,
    stats,
    wait_until,
    warnings,
)

QUICK = {"write_timeout": 1, "flush_interval": 0.01}


@pytest.fixture
def spool(tmp_path):
    """Return the directory of a spool, which does not exist yet."""
    return tmp_path / "spool"


@pytest.fixture(params=[False, True], ids=["spool", "journal"])
def options(request, spool):
    """Return the options of a handler with a spool, and of one with a journal."""
    return {"spool": str(spool), "journal": request.param, **QUICK}


@pytest.fixture
def locked(database):
    """Return a connection that holds the table, so that no row can be written until it is closed."""
    with psycopg.connect(database.owner) as owner:
        owner.execute("LOCK TABLE audit_log IN ACCESS EXCLUSIVE MODE")
        yield owner


def lifecycle(database):
    """Return number, action and metadata of what writers said of themselves."""
    rows = database.rows("SELECT * FROM audit_log WHERE starts_with(action, 'audit.') ORDER BY writer_id, writer_seq")
    return [(row["writer_seq"], row["action"], row["metadata"]) for row in rows]


def end_all():
    """End the writers as the end of the process does."""
    processes.finish(processes.writers(), 60)


def test_while_the_database_takes_lines_nothing_waits_on_disk(options, database, spool):
    """What is stored leaves no line behind: neither in the spool nor in the journal."""
    logger = configure(database.writer, **options)
    log(logger, 500)
    flush(logger)
    assert_exact(database, 500)
    wait_until(lambda: sum(status.lines for status in read_statuses(spool, count_lines=True)) == 0)
    after = stats(logger)
    assert (after["stored"], after["spooled"], after["duplicates"]) == (500, 0, 0)


def test_lines_wait_on_disk_and_come_back(options, database, spool, locked):
    """An outage empties the memory onto the disk, flush() returns 0, and afterwards each event is one row."""
    logger = configure(database.writer, **options)
    log(logger, 2_500)
    wait_until(lambda: is_stuck(logger))
    flush(logger)
    during = stats(logger)
    assert (during["queued"], during["stored"], during["spooled"]) == (0, 0, 2_500)
    assert during["oldest_unsent"] > 0
    assert during["spool_bytes"] > 2_500 * 80
    assert during["last_error"] == during["problem"]
    locked.rollback()
    wait_until(lambda: stats(logger)["oldest_unsent"] is None)
    assert_exact(database, 2_500)
    assert stats(logger)["stored"] == 2_500
    assert stats(logger)["problem"] is None
    end_all()
    assert [path for path in spool.rglob("*") if path.is_file()] == []


def test_the_oldest_lines_come_back_first(options, database, locked):
    """The order in which rows were made is that of the log calls."""
    logger = configure(database.writer, **options)
    log(logger, 100)
    wait_until(lambda: stats(logger)["spooled"] == 100)
    log(logger, 2_000)
    wait_until(lambda: stats(logger)["spooled"] == 2_100)
    locked.rollback()
    wait_until(lambda: counts(database) == (2_100, 2_100))
    rows = database.rows(
        "SELECT writer_seq FROM audit_log WHERE NOT starts_with(action, 'audit.') ORDER BY recorded_at, writer_seq"
    )
    assert all(one["writer_seq"] < other["writer_seq"] for one, other in pairwise(rows))


def test_at_the_end_of_the_process_what_waits_is_on_disk(options, database, spool, locked):
    """Nothing is lost at an exit while the database hangs, and the next writer of the table finds it."""
    logger = configure(database.writer, **options)
    log(logger, 50)
    wait_until(lambda: is_stuck(logger))
    processes.finish(processes.writers(), 0.1)
    assert stats(logger)["lost"] == {}
    handler_of(logger)._writer.writer.backlog.close()
    handler_of(logger).close()
    locked.rollback()
    other = configure(database.writer, spool=str(spool), batch_size=7, **QUICK)
    log(other, 1)
    flush(other)
    wait_until(lambda: counts(database)[0] == 51)
    assert len(database.rows("SELECT DISTINCT writer_id FROM audit_log")) == 2
    assert [(seq, action) for seq, action, _ in lifecycle(database)[:2]] == [(0, "audit.start"), (51, "audit.stop")]


def test_a_writer_says_when_it_begins_and_ends(options, database):
    """The first batch carries the start, a clean end the stop with the last number."""
    logger = configure(database.writer, **options)
    log(logger, 3)
    flush(logger)
    wait_until(lambda: [action for _, action, _ in lifecycle(database)] == ["audit.start"])
    end_all()
    (_, _, start), (number, _, stop) = lifecycle(database)
    assert start.keys() == {"host", "pid"}
    assert (number, stop) == (4, {"last_seq": 3})
    end_all()
    assert len(lifecycle(database)) == 2


def test_no_lifecycle_rows_where_they_are_not_wanted(database):
    """The option leaves them out, and numbers begin with 1 as ever."""
    logger = configure(database.writer, lifecycle=False)
    log(logger, 3)
    flush(logger)
    end_all()
    assert lifecycle(database) == []
    assert [row["writer_seq"] for row in database.rows()] == [1, 2, 3]


def test_a_narrow_table_gets_nothing_but_events(empty_database, spool):
    """A table of another program has no use for rows about our writer, by way of the spool neither."""
    empty_database.execute("CREATE TABLE audit_log (action text NOT NULL, metadata jsonb)")
    empty_database.execute("GRANT INSERT ON audit_log TO pglog_writer")
    logger = configure(empty_database.writer, spool=str(spool), **QUICK)
    with psycopg.connect(empty_database.owner) as owner:
        owner.execute("LOCK TABLE audit_log IN ACCESS EXCLUSIVE MODE")
        log(logger, 3)
        wait_until(lambda: stats(logger)["spooled"] == 3)
    wait_until(lambda: stats(logger)["oldest_unsent"] is None)
    log(logger, 1)
    flush(logger)
    end_all()
    assert [row["action"] for row in empty_database.rows("SELECT * FROM audit_log")] == ["ticket.open"] * 4


def test_a_line_that_the_table_refuses_goes_to_the_rejects(options, database, spool, caplog):
    """It is kept with the server's state and reason, never with values; a gap row explains it, and others are rows."""
    logger = configure(database.writer, **options)
    database.execute("ALTER TABLE audit_log ADD CONSTRAINT never_this CHECK (action <> 'never.this')")
    log(logger, 5)
    log(logger, 1, action="never.this")
    log(logger, 5)
    flush(logger)
    wait_until(lambda: stats(logger)["rejected"] == 1)
    log(logger, 1)
    flush(logger)
    assert counts(database) == (11, 11)
    (path,) = spool.glob("*/*.rejects")
    (reject,) = map(json.loads, path.read_text().splitlines())
    assert reject["sqlstate"] == "23514"
    assert "never_this" in reject["reason"]
    assert "Failing row" not in reject["reason"]
    assert json.loads(reject["line"])["action"] == "never.this"
    wait_until(lambda: len(lifecycle(database)) == 2)
    assert lifecycle(database)[1][2] == {"reason": "rejected", "ranges": [[6, 6]], "count": 1}
    assert any("rejected" in text and "never.this" in text for text in warnings(caplog))


def test_a_line_in_the_spool_that_the_table_refuses_holds_up_no_others(options, database, spool, locked):
    """Alone in its segment it waits until others show that the table is well, then it is rejected."""
    logger = configure(database.writer, lifecycle=False, **options)
    log(logger, 1, action="never.this")
    wait_until(lambda: stats(logger)["spooled"] == 1)
    locked.execute("ALTER TABLE audit_log ADD CONSTRAINT never_this CHECK (action <> 'never.this')")
    locked.commit()
    wait_until(lambda: (stats(logger)["last_error"] or "").startswith("the server refuses"))
    assert stats(logger)["rejected"] == 0
    log(logger, 5)
    flush(logger)
    wait_until(lambda: stats(logger)["rejected"] == 1)
    assert counts(database) == (5, 5)
    wait_until(lambda: stats(logger)["oldest_unsent"] is None)


def test_a_full_queue_overflows_onto_the_disk(database, spool, locked):
    """Callers that find no room keep their lines on disk themselves, and none is lost."""
    logger = configure(database.writer, spool=str(spool), capacity=10, block_timeout=0, flush_interval=0.01)
    log(logger, 500)
    assert stats(logger)["lost"] == {}
    assert stats(logger)["spooled"] > 0
    locked.rollback()
    wait_until(lambda: counts(database) == (500, 500))
    assert_exact(database, 500)


def test_a_spool_that_does_not_work_is_told_at_the_first_record(database, tmp_path, caplog):
    """Its directory is made then, not in the outage that needs it; events go on to the table."""
    (tmp_path / "spool").write_text("")
    logger = configure(database.writer, spool=str(tmp_path / "spool"), **QUICK)
    log(logger, 1)
    assert any("is no directory" in text for text in warnings(caplog))
    flush(logger)
    assert_exact(database, 1)


def test_the_postgres_handler_alone_has_a_spool_too(database, spool, locked):
    """Each record is tried at once, kept on disk if that fails, and replayed with the next that succeeds."""
    handler = PostgresHandler(database.writer, spool=spool, **QUICK)
    logger = logging.getLogger("audit")
    logger.setLevel("INFO")
    logger.addHandler(handler)
    log(logger, 1)
    assert handler.account.stats()["spooled"] == 1
    locked.rollback()
    log(logger, 1)
    assert counts(database) == (2, 2)
    assert_exact(database, 2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"journal": True}, "journal has no meaning without spool"),
        ({"fsync": "always"}, "fsync has no meaning without spool"),
        ({"spool": ""}, "it must be the path of a directory"),
        ({"spool": 7}, "spool is 7"),
        ({"spool": "x", "fsync": "sometimes"}, "write one of never, rotate, always"),
        ({"spool": "x", "spool_max_bytes": 0}, "spool_max_bytes is 0"),
        ({"spool": "x", "journal": "yes"}, "journal is 'yes'"),
        ({"lifecycle": None}, "lifecycle is None"),
    ],
)
def test_options_that_can_never_work(options, words):
    """The error says which and what to write."""
    with pytest.raises(ConfigurationError, match=words):
        AuditHandler("host=/nowhere", **options)


def test_the_path_counts_from_where_the_handler_was_made(database, tmp_path, monkeypatch):
    """A daemon that changes its directory afterwards has the same spool."""
    monkeypatch.chdir(tmp_path)
    handler = AuditHandler(database.writer, spool="here")
    monkeypatch.chdir("/")
    assert handler.options.spool == str(tmp_path / "here")


def test_the_postgres_handler_alone_explains_its_losses(database, locked):
    """Without a spool a record that could not be stored is gone, and the next row says so."""
    handler = PostgresHandler(database.writer, **QUICK)
    logger = logging.getLogger("audit")
    logger.setLevel("INFO")
    logger.addHandler(handler)
    log(logger, 1)
    locked.rollback()
    log(logger, 1)
    assert lifecycle(database) == [(3, "audit.gap", {"reason": "not stored", "ranges": [[1, 1]], "count": 1})]


def test_a_journal_that_is_not_needed_is_empty(database, spool):
    """When all is stored its last line is gone too, so that nobody takes it for left behind."""
    logger = configure(database.writer, spool=str(spool), journal=True)
    for expected in range(100, 1_100, 100):
        log(logger, 100)
        flush(logger)
        wait_until(lambda: sum(status.lines for status in read_statuses(spool, count_lines=True)) == 0)
        assert counts(database) == (expected, expected)


def test_a_full_queue_in_front_of_a_journal(database, spool):
    """What finds no room is replayed, perhaps with lines that are in the queue as well: none of these is a loss."""
    logger = configure(database.writer, spool=str(spool), journal=True, capacity=50, block_timeout=0, **QUICK)
    log_from_threads(logger, 4, 2_000)
    flush(logger)
    wait_until(lambda: counts(database) == (8_000, 8_000))
    wait_until(lambda: stats(logger)["oldest_unsent"] is None)
    assert stats(logger)["lost"] == {}
    assert_exact(database, 8_000)


def test_a_journal_does_not_hide_a_conflict(database, spool, caplog, monkeypatch):
    """
    A row that a unique index of the user's keeps out is lost, and told, though the journal had the event.

    Who waits in flush() has been told, however slowly: a moment's delay in a handler of warnings shows it.
    """
    monkeypatch.setattr(caplog.handler, "filters", [lambda record: time.sleep(0.3) or True])
    database.execute("CREATE TABLE one_a_kind (LIKE audit_log INCLUDING ALL)")
    database.execute("CREATE UNIQUE INDEX one_label ON one_a_kind (user_label)")
    database.execute("GRANT INSERT ON one_a_kind TO pglog_writer")
    logger = configure(database.writer, spool=str(spool), journal=True, table="one_a_kind", **QUICK)
    for _ in range(3):
        logger.info("Read", extra=audit("page.read", user_label="Ada"))
    flush(logger)
    assert (stats(logger)["lost"], stats(logger)["duplicates"]) == ({"conflict": 2}, 0)
    assert any("unique" in text for text in warnings(caplog))


def test_no_secret_lies_in_the_journal(database, spool, locked):
    """What is masked in the table never was on disk as it was given; events without a secret are there as well."""
    logger = configure(database.writer, spool=str(spool), journal=True, **QUICK)
    logger.info("Read", extra=audit("page.read", metadata={"n": 1}))
    logger.info("GET /?token=hunter2", extra=audit("page.read"))
    logger.info("sent Bearer hunter2", extra=audit("page.read"))
    logger.info("Read", extra=audit("page.read", metadata={"password": "hunter2"}))
    # The same names as before, and others inside.
    logger.info("Read", extra=audit("page.read", metadata={"a": {"b": 1}}, user_label="Ada"))
    logger.info("Read", extra=audit("page.read", metadata={"a": {"password": "hunter2"}}, user_label="Ada"))
    logger.info("Read", extra=audit("page.read", metadata={"a": 1}, user_label="Ada"))
    logger.info("Read", extra=audit("page.read", metadata={"a": 1}, user_label={"password": "hunter2"}))
    logger.info("Read", extra=audit("page.read", metadata="password=hunter2", user_label={"password": "hunter2"}))
    logger.info("Read", extra=audit("page.read", metadata={"a": {"api_key": "hunter2"}}))
    logger.info("Read", extra=audit("page.read", changes={"secret": ["hunter2", "hunter2"]}))
    logger.info("Read", extra=audit("page.read", metadata={"url": "https://ada:hunter2@host/"}))
    logger.info("Read", extra=audit("page.read", colour="token=hunter2"))
    logger.info('Refused: {"password" : "hunter2"}', extra=audit("page.read"))
    logger.info("Authorization: hunter2", extra=audit("page.read"))
    logger.info("Read", extra=audit("page.read", metadata={"command": "run --password=hunter2", "n": 1}))
    logger.info("Read", extra=audit("page.read", metadata={"n": json.dumps(json.dumps({"token": "hunter2"}))}))
    logger.info("Read", extra=audit("page.read", metadata={b"password": "hunter2"}))
    written = b"".join(path.read_bytes() for path in spool.rglob("*") if path.is_file())
    assert written.count(b"page.read") == 18
    assert b"hunter2" not in written
    locked.close()
    flush(logger)
    assert_exact(database, 18)
