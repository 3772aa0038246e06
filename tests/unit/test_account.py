"""What became of lines: of a writer's own, and of all of the process."""

import os

import pytest

from pglog_audit import account
from pglog_audit.account import Account, Counters


@pytest.fixture
def process(monkeypatch):
    """Return the counters of a process that has counted nothing yet."""
    monkeypatch.setattr(account, "_of_processes", {})
    return account.of_process()


def test_a_process_counts_what_each_of_its_writers_counts(process):
    """Each account has its own numbers, and the process their sums."""
    first, second = Account(), Account()
    first.count("stored", 2)
    second.count("stored", 3)
    first.lose_unseen("exit", 1)
    second.lose_unseen("exit", 1)
    second.lose_unseen("writer", 4)
    assert (first.stats()["stored"], first.stats()["lost"]) == (2, {"exit": 1})
    assert (second.stats()["stored"], second.stats()["lost"]) == (3, {"exit": 1, "writer": 4})
    assert (process.stats()["stored"], process.stats()["lost"]) == (5, {"exit": 2, "writer": 4})


def test_the_last_error_is_that_of_whoever_failed_last(process):
    """The process tells the error with its time."""
    first, second = Account(), Account()
    first.fail("connection refused")
    second.fail("permission denied")
    first.fail("disk full")
    assert process.stats() == {
        **Counters().stats(),
        "last_error": "disk full",
        "last_error_at": first.stats()["last_error_at"],
    }
    assert second.stats()["last_error"] == "permission denied"


def test_what_a_writer_counted_stays_when_it_is_gone(process):
    """The process keeps the numbers, and not one object more."""
    for _ in range(3):
        Account().count("restarts", 1)
    assert process.stats()["restarts"] == 3


def test_a_caller_may_keep_what_it_was_told(process):
    """What is counted later does not change it."""
    told = process.stats()
    Account().lose_unseen("exit", 1)
    assert told["lost"] == {}


def test_another_process_starts_at_zero(process, monkeypatch):
    """The id of the process tells, even where it forks without Python's hooks; the parent's account counts for none."""
    inherited = Account()
    inherited.count("stored", 1)
    monkeypatch.setattr(os, "getpid", lambda: -1)
    inherited.count("stored", 1)
    assert account.of_process().stats() == Counters().stats()
    Account().count("stored", 3)
    assert account.of_process().stats()["stored"] == 3
