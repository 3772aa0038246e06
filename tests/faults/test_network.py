"""The network between writer and server fails in each of its ways: every event is one row all the same."""

import pytest

from tests.faults.conftest import ON_DISK
from tests.faults.exact import assert_accounted, settle
from tests.support import configure, counts, flush, handler_of, is_stuck, log, stats, wait_until

pytestmark = pytest.mark.faults


def connected_through(proxy, database, options):
    """Return the logger of a writer behind the proxy that has written one event."""
    # The row about its start would be in flight when the network fails.
    logger = configure(proxy.conninfo(database.writer), lifecycle=False, **options)
    log(logger, 1)
    flush(logger)
    return logger


@pytest.mark.parametrize("ends", ["with a reset", "in silence"])
def test_row_04_reply_to_commit_lost(database, proxy, options, ends):
    """A batch that was committed without our knowing is sent again, and makes no second row."""
    logger = connected_through(proxy, database, options)
    proxy.lose_replies()
    log(logger, 100)
    wait_until(lambda: counts(database) > (1, 1))
    assert stats(logger)["stored"] == 1
    if ends == "with a reset":
        proxy.reset()
    wait_until(lambda: is_stuck(logger))
    proxy.heal()
    settle(logger)
    assert_accounted(database, 101)
    assert (stats(logger)["stored"] + stats(logger)["duplicates"], stats(logger)["lost"]) == (101, {})
    assert stats(logger)["duplicates"] > 0


def test_row_04_reply_is_garbage(database, proxy, options):
    """An answer that libpq does not understand ends the connection, and the batch goes over another one."""
    logger = connected_through(proxy, database, options)
    proxy.garble_reply()
    log(logger, 100)
    settle(logger)
    assert "lost synchronization with server" in stats(logger)["last_error"]
    assert_accounted(database, 101)
    assert stats(logger)["lost"] == {}


@pytest.mark.parametrize("after", [1, 100, 1_000, 10_000, 100_000])
def test_row_05_reset_mid_batch(database, proxy, options, after):
    """Wherever in a batch the connection is reset, it is sent again."""
    logger = connected_through(proxy, database, options)
    proxy.reset(after)
    log(logger, 1_000)
    settle(logger)
    assert proxy.resets == 1
    assert_accounted(database, 1_001)
    assert stats(logger)["lost"] == {}


def test_row_06_black_hole(database, proxy, options):
    """A network that swallows everything holds the writer until its deadline, and the callers not at all."""
    logger = connected_through(proxy, database, options)
    proxy.stop_reading()
    log(logger, 10_000)
    wait_until(lambda: "did not answer in time" in str(stats(logger)["last_error"]))
    wait_until(lambda: "cannot connect" in str(stats(logger)["problem"]))
    log(logger, 1_000)
    where = "spooled" if "spool" in options else "queued"
    wait_until(lambda: stats(logger)[where] == 11_000)
    proxy.heal()
    settle(logger)
    assert_accounted(database, 11_001)
    assert stats(logger)["lost"] == {}


def test_row_07_slow_link(database, proxy, options):
    """Where a whole batch does not pass in time smaller ones do."""
    logger = connected_through(proxy, database, options)
    proxy.slow_down(100_000)
    log(logger, 500)
    wait_until(lambda: stats(logger)["stored"] > 1)
    settle(logger)
    assert_accounted(database, 501)
    proxy.heal()
    log(logger, 2_000)
    settle(logger)
    assert_accounted(database, 2_501)
    assert stats(logger)["lost"] == {}


@ON_DISK
def test_row_07_link_too_slow_for_anything(database, proxy, options):
    """At a kilobyte a second, half a second late, memory holds what it may and the disk the rest."""
    options = {**options, "capacity": 100, "batch_size": 50, "block_timeout": 0}
    logger = connected_through(proxy, database, options)
    proxy.slow_down(1_000, delay=0.5)
    for _ in range(20):
        log(logger, 100)
        # One batch is under way and the next one collected, besides those in the queue.
        assert stats(logger)["queued"] <= 200
    wait_until(lambda: stats(logger)["spooled"] == 2_000)
    assert stats(logger)["stored"] == 1
    proxy.heal()
    settle(logger)
    assert_accounted(database, 2_001)
    assert stats(logger)["lost"] == {}
    assert handler_of(logger).flush(0) == 0
