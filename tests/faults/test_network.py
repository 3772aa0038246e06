"""The network between writer and server fails in each of its ways: every event is one row all the same."""

import pytest

from tests.faults.conftest import QUICK
from tests.support import assert_exact, configure, counts, flush, is_stuck, log, stats, wait_until

pytestmark = pytest.mark.faults


def connected_through(proxy, database):
    """Return the logger of a writer behind the proxy that has written one event."""
    logger = configure(proxy.conninfo(database.writer), **QUICK)
    log(logger, 1)
    flush(logger)
    return logger


@pytest.mark.parametrize("ends", ["with a reset", "in silence"])
def test_reply_to_commit_lost(database, proxy, ends):
    """A batch that was committed without our knowing is sent again, and makes no second row."""
    logger = connected_through(proxy, database)
    proxy.lose_replies()
    log(logger, 100)
    wait_until(lambda: counts(database) > (1, 1))
    assert stats(logger)["stored"] == 1
    if ends == "with a reset":
        proxy.reset()
    wait_until(lambda: is_stuck(logger))
    proxy.heal()
    flush(logger)
    assert_exact(database, 101)
    assert (stats(logger)["stored"] + stats(logger)["duplicates"], stats(logger)["lost"]) == (101, {})
    assert stats(logger)["duplicates"] > 0


@pytest.mark.parametrize("after", [1, 100, 1_000, 10_000, 100_000])
def test_reset_mid_batch(database, proxy, after):
    """Wherever in a batch the connection is reset, it is sent again."""
    logger = connected_through(proxy, database)
    proxy.reset(after)
    log(logger, 1_000)
    flush(logger)
    assert proxy.resets == 1
    assert_exact(database, 1_001)
    assert stats(logger)["lost"] == {}


def test_black_hole(database, proxy):
    """A network that swallows everything holds the writer until its deadline, and the callers not at all."""
    logger = connected_through(proxy, database)
    proxy.stop_reading()
    log(logger, 20_000)
    # Five times the deadlines for writing and connecting.
    wait_until(lambda: "did not answer in time" in str(stats(logger)["problem"]), timeout=5)
    wait_until(lambda: "cannot connect" in str(stats(logger)["problem"]), timeout=10)
    log(logger, 1_000)
    assert stats(logger)["queued"] == 21_000
    proxy.heal()
    flush(logger)
    assert_exact(database, 21_001)
    assert stats(logger)["lost"] == {}


def test_slow_link(database, proxy):
    """Where a whole batch does not pass in time smaller ones do."""
    logger = connected_through(proxy, database)
    proxy.slow_down(100_000)
    log(logger, 500)
    flush(logger)
    assert_exact(database, 501)
    proxy.heal()
    log(logger, 5_000)
    flush(logger)
    assert_exact(database, 5_501)
    assert stats(logger)["lost"] == {}
