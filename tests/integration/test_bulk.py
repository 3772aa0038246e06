"""Many events in one call, on their way to the table."""

from pglog_audit import audit, audit_many
from tests.support import assert_exact, configure, flush, stats


def test_a_full_queue_loses_none(database):
    """While the database answers, the call waits for room as log calls do; each event is a row with its number."""
    logger = configure(database.writer, capacity=100, batch_size=50, flush_interval=0.01)
    audit_many(logger, "Seat released", (audit("seat.release", metadata={"n": n}) for n in range(3000)))
    flush(logger)
    assert_exact(database, 3000)
    assert [row["metadata"]["n"] for row in database.rows()] == list(range(3000))


def test_with_the_database_away_the_loss_is_counted():
    """What the queue does not hold is lost, as with log calls of their own."""
    logger = configure("postgresql://app@127.0.0.1:1/app", capacity=100, batch_size=10)
    audit_many(logger, "Seat released", (audit("seat.release") for _ in range(1000)))
    assert stats(logger)["queued"] + stats(logger)["lost"]["queue full"] == 1000
