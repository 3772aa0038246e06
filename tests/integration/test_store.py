"""Lines into rows: what is refused, what is sent again, and what it costs."""

import logging
import re
from uuid import uuid4

import psycopg
import pytest

from pglog_audit import PostgresHandler, audit, lines, schema
from tests.support import assert_exact, configure, counts, flush, handler_of, log, stats, wait_until, warnings


def refusals(database):
    """Return the metadata of the rows that hold refused values."""
    rows = database.rows("SELECT metadata FROM audit_log WHERE metadata ? '_refused' ORDER BY writer_seq")
    return [row["metadata"]["_refused"] for row in rows]


def transactions(database):
    """Return how many transactions the database has seen, finished or not."""
    (row,) = database.rows(
        "SELECT xact_commit + xact_rollback AS n FROM pg_stat_database WHERE datname = current_database()"
    )
    return row["n"]


def test_one_bad_value_in_500_lines_costs_no_row(database, caplog):
    """A value that its column refuses stands in the metadata of its own row; the others are as they were."""
    logger = configure(database.writer)
    user = uuid4()
    log(logger, 250, user_id=user)
    logger.info("odd", extra=audit("ticket.open", user_id="no uuid", target_id=user, metadata={"n": "odd"}))
    log(logger, 249, user_id=user)
    flush(logger)
    assert_exact(database, 500)
    (odd,) = database.rows("SELECT * FROM audit_log WHERE message = 'odd'")
    assert (odd["user_id"], odd["target_id"], odd["writer_seq"]) == (None, user, 251)
    assert odd["metadata"] == {"n": "odd", "_refused": {"user_id": "no uuid"}}
    assert len(database.rows("SELECT FROM audit_log WHERE user_id = %s", user)) == 499
    assert any("ticket.open" in text and "metadata" in text for text in warnings(caplog))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("user_id", "x' OR 1=1 --"),
        ("event_id", 12),
        ("target_id", "{12345678-1234-5678-1234-56781234567}"),
        ("tenant_id", "123456781234567812345678123456789"),
        ("impersonator_id", "urn:uuid:12345678-1234-5678-1234-567812345678"),
        ("source_ip", "localhost"),
        ("source_ip", "192.0.2.300"),
        ("source_ip", "fe80::1%eth0"),
        ("source_ip", "192.0.2.1/99"),
        ("source_ip", "unix:"),
    ],
)
def test_whatever_a_column_refuses_is_kept(database, field, value):
    """The row is there, with the value in its column if PostgreSQL takes it, else in the metadata."""
    logger = configure(database.writer)
    log(logger, 1)
    logger.info("odd", extra=audit("ticket.close", **{field: value}))
    log(logger, 1)
    flush(logger)
    assert_exact(database, 3)
    (odd,) = database.rows("SELECT * FROM audit_log WHERE action = 'ticket.close'")
    assert odd[field] is not None or odd["metadata"]["_refused"] == {field: value}


@pytest.mark.parametrize(
    "value",
    [
        "nul \x00 in it",
        "lone \ud800 surrogate",
        float("nan"),
        float("inf"),
        10**400,
        -(2**63) - 1,
        1e308,
        {"k\x00": 1},
        [[[[]]]] * 3,
        b"\xff\x00",
        {1, 2},
        "\\u0000",
        '"; DROP TABLE audit_log; --',
        "%s %(lines)s {} {{}}",
        "\u2028\u2029\ufeff",
    ],
    ids=ascii,
)
def test_no_value_stops_the_trail(database, value):
    """Whatever stands in a text field, the message or the metadata, each event is a row at once."""
    logger = configure(database.writer)
    log(logger, 1)
    logger.info(
        "odd: %r", value, extra=audit("ticket.close", user_label=value, metadata={"v": value, "w": {"x": [value]}})
    )
    logger.info(value, extra=audit("ticket.close", changes={"v": [value, value]}, request_id=value, column=value))
    log(logger, 1)
    flush(logger)
    assert_exact(database, 4)


def test_ten_thousand_bad_lines_take_a_bounded_number_of_statements(database):
    """Each batch is checked once, not halved down to its lines."""
    logger = configure(database.writer, batch_size=1000)
    flush(logger)
    before = transactions(database)
    for n in range(10_000):
        logger.info("Opened", extra=audit("ticket.open", user_id=f"user-{n}"))
    flush(logger)
    handler_of(logger).close()
    assert_exact(database, 10_000)
    assert len(refusals(database)) == 10_000
    # The server counts a session's transactions when it ends; our own questions are a handful.
    wait_until(lambda: transactions(database) - before > 10)
    assert transactions(database) - before < 300


def test_a_constraint_that_refuses_one_line_costs_that_line_alone(database, caplog):
    """A line that the table takes in no form is counted as lost and told with its action; all others are rows."""
    database.execute("ALTER TABLE audit_log ADD CONSTRAINT no_drafts CHECK (action <> 'ticket.draft')")
    logger = configure(database.writer)
    user = uuid4()
    log(logger, 300, user_id=user)
    log(logger, 1, "ticket.draft", user_id=user)
    log(logger, 300, user_id=user)
    flush(logger)
    assert counts(database) == (600, 600)
    assert stats(logger)["lost"] == {"refused": 1}
    assert stats(logger)["stored"] == 600
    assert len(database.rows("SELECT FROM audit_log WHERE user_id = %s", user)) == 600
    (text,) = [text for text in warnings(caplog) if "lost" in text]
    assert "ticket.draft" in text
    assert "no_drafts" in text


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_refused_lines_do_not_stop_those_behind_them(database, batch_size):
    """However many lines in a row the table refuses, the first one that it takes shows that the fault is theirs."""
    database.execute("ALTER TABLE audit_log ADD CONSTRAINT no_drafts CHECK (action <> 'ticket.draft')")
    logger = configure(database.writer, batch_size=batch_size)
    log(logger, batch_size, "ticket.draft")
    wait_until(lambda: stats(logger)["problem"])
    log(logger, 20)
    flush(logger)
    assert counts(database) == (20, 20)
    assert stats(logger)["lost"] == {"refused": batch_size}


def test_what_the_table_refuses_altogether_is_kept(database, caplog):
    """If no line at all is taken, the table is wrong and not the lines: they wait, and are stored as they were."""
    database.execute("ALTER TABLE audit_log ADD CONSTRAINT closed CHECK (action IS NULL)")
    logger = configure(database.writer)
    user = uuid4()
    log(logger, 50, user_id=user, source_ip="192.0.2.1")
    wait_until(lambda: stats(logger)["problem"])
    assert "closed" in stats(logger)["problem"]
    assert stats(logger)["lost"] == {}
    assert any("closed" in text for text in warnings(caplog))
    database.execute("ALTER TABLE audit_log DROP CONSTRAINT closed")
    flush(logger)
    assert_exact(database, 50)
    rows = database.rows()
    assert {(row["user_id"], str(row["source_ip"])) for row in rows} == {(user, "192.0.2.1")}
    assert all("_refused" not in row["metadata"] for row in rows)


def test_a_trigger_that_refuses_one_line_costs_that_line_alone(database):
    """An error that nobody foresaw is tried a few times, then the lines are told apart."""
    database.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN IF NEW.action = 'ticket.draft' THEN RAISE EXCEPTION 'no drafts'; END IF; RETURN NEW; END $$"
    )
    database.execute("CREATE TRIGGER refuse BEFORE INSERT ON audit_log FOR EACH ROW EXECUTE FUNCTION refuse()")
    logger = configure(database.writer)
    log(logger, 300)
    log(logger, 1, "ticket.draft")
    log(logger, 300)
    wait_until(lambda: stats(logger)["queued"] == 0)
    assert counts(database) == (600, 600)
    assert stats(logger)["lost"] == {"refused": 1}


def test_a_unique_index_of_the_users_loses_nothing_silently(database, caplog):
    """ON CONFLICT DO NOTHING also skips rows that an index of the user's refuses: that is counted and told."""
    database.execute("CREATE TABLE plain (LIKE audit_log INCLUDING ALL)")
    database.execute("CREATE UNIQUE INDEX one_a_kind ON plain (action)")
    database.execute("GRANT INSERT ON plain TO pglog_writer")
    logger = configure(database.writer, table="plain")
    log(logger, 3)
    flush(logger)
    assert counts(database, "plain") == (1, 1)
    assert sum(stats(logger)["lost"].values()) == 2
    assert any("unique" in text for text in warnings(caplog))


def test_a_unique_index_is_told_by_the_postgres_handler_alone(database, caplog):
    """Without a queue, too, a row that a unique index of the user's keeps out is counted and told."""
    database.execute("CREATE TABLE plain (LIKE audit_log INCLUDING ALL)")
    database.execute("CREATE UNIQUE INDEX one_a_kind ON plain (action)")
    database.execute("GRANT INSERT ON plain TO pglog_writer")
    handler = PostgresHandler(database.writer, table="plain")
    logger = logging.getLogger("audit")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    log(logger, 2)
    assert handler.account.stats()["lost"] == {"conflict": 1}
    assert any("unique" in text for text in warnings(caplog))
    handler.close()


def test_no_warning_repeats_what_was_logged(database, caplog):
    """The server's texts show row values; ours show the action, who and where, and nothing else."""
    database.execute("ALTER TABLE audit_log ADD CONSTRAINT no_drafts CHECK (action <> 'ticket.draft')")
    logger = configure(database.writer, mask=["nickname"])
    log(logger, 1)
    logger.info("hunter2", extra=audit("ticket.draft", user_label="hunter2", metadata={"x": "hunter2"}))
    logger.info("hunter2", extra=audit("ticket.open", source_ip="hunter2", user_label="hunter2"))
    flush(logger)
    assert stats(logger)["lost"] == {"refused": 1}
    assert warnings(caplog)
    assert not [text for text in warnings(caplog) if "hunter2" in text]


def test_batches_are_bounded_by_lines_and_by_bytes(database):
    """One statement has at most batch_size lines, and about 4 MB."""
    database.execute("CREATE TABLE statements (lines bigint, bytes bigint)")
    database.execute(
        "CREATE FUNCTION measure() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN"
        " INSERT INTO statements SELECT count(*), sum(length(metadata::text)) FROM new_rows; RETURN NULL; END $$"
    )
    database.execute("CREATE TABLE plain (LIKE audit_log INCLUDING ALL)")
    database.execute("GRANT INSERT ON plain TO pglog_writer")
    database.execute(
        "CREATE TRIGGER measure AFTER INSERT ON plain REFERENCING NEW TABLE AS new_rows"
        " FOR EACH STATEMENT EXECUTE FUNCTION measure()"
    )
    logger = configure(database.writer, table="plain", batch_size=100, lifecycle=False)
    log(logger, 1000)
    for _ in range(60):
        logger.info("Report kept", extra=audit("report.keep", metadata={"text": "x" * 200_000}))
    flush(logger)
    (row,) = database.rows("SELECT max(lines) AS lines, max(bytes) AS bytes, sum(lines) AS all FROM statements")
    assert 1 < row["lines"] <= 100
    assert row["bytes"] <= 4_500_000
    assert row["all"] == 1060


def test_deadlines_are_the_transactions_alone(database):
    """Time limits follow write_timeout inside the batch's transaction; nothing stays in the session."""
    database.execute("CREATE TABLE seen (setting text)")
    database.execute("CREATE TABLE plain (LIKE audit_log INCLUDING ALL)")
    database.execute("GRANT INSERT ON plain TO pglog_writer")
    database.execute(
        "CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN"
        " INSERT INTO seen VALUES (current_setting('lock_timeout')), (current_setting('statement_timeout')),"
        " (current_setting('idle_in_transaction_session_timeout')), (current_setting('transaction_timeout'));"
        " RETURN NULL; END $$"
    )
    database.execute("CREATE TRIGGER look AFTER INSERT ON plain FOR EACH STATEMENT EXECUTE FUNCTION look()")
    handler = PostgresHandler(database.writer, table="plain", write_timeout=8)
    logger = logging.getLogger("audit")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    log(logger, 1)
    assert [row["setting"] for row in database.rows("SELECT setting FROM seen")] == ["4s", "8s", "8s", "0"]
    connection = handler.store._connection
    with connection.cursor() as cursor:
        assert cursor.execute("SHOW lock_timeout").fetchone() == ("0",)
        assert cursor.execute("SHOW statement_timeout").fetchone() == ("0",)
    handler.close()


def test_time_limits_of_the_servers_end_no_batch(any_database):
    """What the database, its administrator or a neighbour says of transactions does not count for a batch."""
    with psycopg.connect(any_database.owner, autocommit=True) as connection:
        schema.init(connection)
        limits = ["idle_in_transaction_session_timeout"]
        if connection.info.server_version >= 170000:
            limits.append("transaction_timeout")
        for limit in limits:
            connection.execute(f"ALTER DATABASE {any_database.name} SET {limit} = '300ms'")
    any_database.execute(
        "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.5); RETURN NULL; END'"
    )
    any_database.execute("CREATE TRIGGER dawdle AFTER INSERT ON audit_log FOR EACH STATEMENT EXECUTE FUNCTION dawdle()")
    logger = configure(any_database.owner)
    log(logger, 50)
    flush(logger)
    assert_exact(any_database, 50)
    assert stats(logger)["last_error"] is None


def test_transactions_that_are_read_only_by_default_do_not_stop_the_writer(any_database):
    """A batch is there to write, whatever the role's setting, or what a neighbour left in the session."""
    with psycopg.connect(any_database.owner) as connection:
        schema.init(connection)
    any_database.execute(f"ALTER DATABASE {any_database.name} SET default_transaction_read_only = on")
    logger = configure(any_database.owner)
    log(logger, 50)
    flush(logger)
    assert_exact(any_database, 50)
    assert stats(logger)["last_error"] is None


def test_a_line_that_is_not_new_makes_no_second_row(database):
    """Whoever takes lines for new that are rows already is told so by the server, and they count as duplicates."""
    handler = PostgresHandler(database.writer)
    snapshot = '{"occurred_at":1.5,"action":"a.b"}'
    batch = [lines.whole(snapshot, seq, handler.writer_id) for seq in range(1, 4)]
    assert handler.write(batch[:2], are_new=True).stored == 2
    written = handler.write(batch, are_new=True)
    assert (written.stored, written.duplicates, written.left, written.refused) == (1, 2, [], [])
    assert_exact(database, 3)
    handler.close()


def test_nothing_is_sent_after_a_batch(database, tmp_path):
    """A batch ends with its one Sync: a pooler in transaction mode reserves a server for whatever comes after it."""
    handler = PostgresHandler(database.writer)
    snapshot = '{"occurred_at":1.5,"action":"a.b"}'
    first, second = (lines.whole(snapshot, seq, handler.writer_id) for seq in (1, 2))
    assert handler.write([first]).stored == 1
    libpq, trace = handler.store._connection.pgconn, tmp_path / "trace"
    with trace.open("w") as file:
        libpq.trace(file.fileno())
        assert handler.write([second]).stored == 1
        libpq.untrace()
    handler.close()
    sent = re.findall(r"\tF\t\d+\t(\w+)", trace.read_text())
    assert (sent.count("Execute"), sent.index("Sync")) == (4, len(sent) - 1)
