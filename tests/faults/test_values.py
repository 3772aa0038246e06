"""Values that no column takes, and values that nobody expects: each event is a row, and says what was changed."""

import pytest

from pglog_audit import audit
from tests.faults.exact import assert_accounted
from tests.support import configure, flush, handler_of, log, stats, wait_until

pytestmark = pytest.mark.faults


def test_row_15_one_poison_line_in_500(database, options):
    """The value that its column refuses stands in the metadata of its own row, and costs no other row anything."""
    logger = configure(database.writer, **{**options, "flush_interval": 1})
    log(logger, 250, source_ip="192.0.2.1")
    log(logger, 1, user_id="no uuid", source_ip="192.0.2.1")
    log(logger, 249, source_ip="192.0.2.1")
    flush(logger)
    assert_accounted(database, 500)
    rows = database.rows("SELECT metadata FROM audit_log WHERE metadata ? '_refused'")
    assert rows == [{"metadata": {"n": 0, "_refused": {"user_id": "no uuid"}}}]
    assert len(database.rows("SELECT FROM audit_log WHERE source_ip = '192.0.2.1'")) == 500


def test_row_15_ten_thousand_poison_lines(database, options):
    """Refused batches take a bounded number of transactions: they are checked, not halved down to their lines."""
    logger = configure(database.writer, **{**options, "write_timeout": 10})
    log(logger, 1)
    flush(logger)
    before = transactions(database)
    log(logger, 10_000, user_id="no uuid")
    flush(logger)
    handler_of(logger).close()
    assert_accounted(database, 10_001)
    refused = database.rows("SELECT FROM audit_log WHERE metadata -> '_refused' = %s", '{"user_id": "no uuid"}')
    assert len(refused) == 10_000
    # The server counts a session's transactions when the session ends at the latest.
    wait_until(lambda: transactions(database) >= before + 10)
    assert transactions(database) < before + 300


def transactions(database):
    """Return how many transactions the database has seen, finished or not."""
    (row,) = database.rows(
        "SELECT xact_commit + xact_rollback AS n FROM pg_stat_database WHERE datname = current_database()"
    )
    return row["n"]


def nested(levels):
    """Return a dict with that many dicts inside one another."""
    value = {}
    for _ in range(levels):
        value = {"x": value}
    return value


def cycle():
    """Return a dict that holds itself."""
    value = {}
    value["me"] = value
    return value


@pytest.mark.parametrize(
    ("make", "mark"),
    [
        (lambda: {"text": "x" * 100_000_000}, "metadata: cut"),
        (lambda: {"texts": ["x" * 10_000] * 10_000}, "metadata: cut"),
        (lambda: nested(1_000), "metadata: nested deeper than 100"),
        (cycle, "metadata: cycle cut"),
        (lambda: {"text": "a\x00b"}, "metadata: NUL replaced"),
        (lambda: {"text": "a\ud800b"}, "metadata: surrogate replaced"),
        (lambda: {"number": float("nan")}, "metadata: not a number as text"),
    ],
    ids=["100 MB text", "100 MB of texts", "1000 levels", "cycle", "NUL", "surrogate", "NaN"],
)
def test_row_30_monstrous_metadata(database, options, make, mark):
    """Metadata that no database takes are cut or cleaned, and marked."""
    logger = configure(database.writer, **options)
    log(logger, 1)
    logger.info("Report kept", extra=audit("report.keep", metadata=make(), entity_type="report"))
    log(logger, 1)
    flush(logger)
    assert_accounted(database, 3)
    (row,) = database.rows("SELECT * FROM audit_log WHERE action = 'report.keep'")
    assert (row["entity_type"], row["message"]) == ("report", "Report kept")
    assert row["metadata"]["_cleaned"] == [mark]
    assert len(row["metadata"]) == 2
    assert stats(logger)["lost"] == {}
