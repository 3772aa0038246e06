"""The table is locked, dropped, changed or closed to the writer: events wait or are stored, and none is rejected."""

from uuid import uuid4

import psycopg
import pytest

from pglog_audit import schema
from tests.conftest import WRITER
from tests.faults.conftest import backends, terminate_backends
from tests.faults.exact import assert_accounted, settle
from tests.support import configure, counts, flush, is_stuck, log, stats, wait_until, warnings

pytestmark = pytest.mark.faults


def init(database):
    """Make the table and the writer's grants, as ``pglog-audit init`` does."""
    with psycopg.connect(database.owner) as connection:
        schema.init(connection, writer=WRITER)


def connected_to(database, options):
    """Return the logger of a writer that has written one event."""
    logger = configure(database.writer, **options)
    log(logger, 1)
    flush(logger)
    return logger


def test_row_09_access_exclusive_lock(database, options):
    """Batches give up waiting for a locked table at their deadline, and are stored once it is free."""
    logger = connected_to(database, options)
    first = backends(database)
    with psycopg.connect(database.owner) as owner:
        owner.execute("LOCK TABLE audit_log IN ACCESS EXCLUSIVE MODE")
        log(logger, 500)
        wait_until(lambda: "lock timeout" in str(stats(logger)["last_error"]))
        log(logger, 500)
    settle(logger)
    assert_accounted(database, 1_001)
    assert backends(database) == first
    assert stats(logger)["lost"] == {}


def test_row_14_table_dropped(database, options, caplog):
    """Events wait, loudly, until there is a table again."""
    logger = connected_to(database, options)
    database.execute("DROP TABLE audit_log CASCADE")
    log(logger, 100)
    wait_until(lambda: "there is no table audit_log" in str(stats(logger)["last_error"]))
    assert any("audit_log" in text for text in warnings(caplog))
    log(logger, 100)
    init(database)
    settle(logger)
    assert counts(database) == (200, 200)
    assert stats(logger)["lost"] == {}


def test_row_14_column_renamed_and_back(database, options):
    """While a column has another name its values are kept in the metadata; afterwards they are where they were."""
    logger = connected_to(database, options)
    user = uuid4()
    database.execute("ALTER TABLE audit_log RENAME user_id TO actor")
    log(logger, 100, user_id=user)
    settle(logger)
    database.execute("ALTER TABLE audit_log RENAME actor TO user_id")
    terminate_backends(database)
    log(logger, 100, user_id=user)
    settle(logger)
    assert_accounted(database, 201)
    assert len(database.rows("SELECT FROM audit_log WHERE metadata ->> 'user_id' = %s", str(user))) == 100
    assert len(database.rows("SELECT FROM audit_log WHERE user_id = %s", user)) == 100
    assert stats(logger)["lost"] == {}


def test_row_14_column_added_without_default_and_without_grant(database, options):
    """What the table takes in no form waits until it can be stored, as it was."""
    logger = connected_to(database, options)
    user = uuid4()
    # A table with rows takes such a column only while it has a default.
    database.execute("ALTER TABLE audit_log ADD COLUMN region text NOT NULL DEFAULT 'eu'")
    database.execute("ALTER TABLE audit_log ALTER COLUMN region DROP DEFAULT")
    log(logger, 100, user_id=user)
    wait_until(lambda: is_stuck(logger))
    assert stats(logger)["lost"] == {}
    database.execute("ALTER TABLE audit_log ALTER COLUMN region SET DEFAULT 'eu'")
    settle(logger)
    assert_accounted(database, 101)
    assert len(database.rows("SELECT FROM audit_log WHERE user_id = %s AND NOT metadata ? '_refused'", user)) == 100
    assert stats(logger)["lost"] == {}


def test_row_14_column_grant_revoked(database, options):
    """The value of a column that is closed to the writer is kept in the metadata, beside what stands there."""
    logger = connected_to(database, options)
    user, target = uuid4(), uuid4()
    database.execute(f"REVOKE INSERT (user_id, service) ON audit_log FROM {WRITER}")
    log(logger, 100, user_id=user, target_id=target)
    settle(logger)
    assert_accounted(database, 101)
    rows = database.rows("SELECT user_id, target_id, metadata FROM audit_log WHERE target_id IS NOT NULL")
    assert {(row["user_id"], row["target_id"]) for row in rows} == {(None, target)}
    metadata = sorted((row["metadata"] for row in rows), key=lambda value: value["n"])
    assert metadata == [{"n": n, "user_id": str(user)} for n in range(100)]
    init(database)
    terminate_backends(database)
    log(logger, 100, user_id=user)
    settle(logger)
    assert len(database.rows("SELECT FROM audit_log WHERE user_id = %s", user)) == 100
    assert stats(logger)["lost"] == {}


def test_row_14_table_grant_revoked(database, options):
    """A writer that may not insert at all keeps the events, and says what to run."""
    logger = connected_to(database, options)
    database.execute(f"REVOKE INSERT ON audit_log FROM {WRITER}")
    log(logger, 100)
    wait_until(lambda: "pglog-audit init --writer" in str(stats(logger)["last_error"]))
    log(logger, 100)
    init(database)
    settle(logger)
    assert_accounted(database, 201)
    assert stats(logger)["lost"] == {}
