"""Warnings about the audit trail itself."""

import logging
import threading

import pytest

from pglog_audit import diagnostics


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves, in seconds."""
    now = [100.0]
    monkeypatch.setattr(diagnostics.time, "monotonic", lambda: now[0])
    return now


def messages(caplog):
    return [record.getMessage() for record in caplog.records if record.name == "pglog_audit"]


def test_a_warning_goes_to_our_own_logger(caplog):
    """Applications direct our warnings by the package's name."""
    diagnostics.warn("kind", "%d lines lost", 3)
    assert [(r.name, r.levelno, r.getMessage()) for r in caplog.records] == [
        ("pglog_audit", logging.WARNING, "3 lines lost")
    ]


def test_a_kind_is_said_once_a_minute(clock, caplog):
    """More of the same kind within a minute are held back."""
    for _ in range(3):
        diagnostics.warn("kind", "lost")
    clock[0] += 59.9
    diagnostics.warn("kind", "lost")
    assert messages(caplog) == ["lost"]


def test_what_was_held_back_is_counted(clock, caplog):
    """After the minute the next warning says how many there were."""
    for _ in range(3):
        diagnostics.warn("kind", "lost")
    clock[0] += 60
    diagnostics.warn("kind", "lost")
    clock[0] += 60
    diagnostics.warn("kind", "lost")
    assert messages(caplog) == ["lost", "lost (2 more like this since the last warning)", "lost"]


def test_kinds_do_not_hold_each_other_back(clock, caplog):
    """A frequent warning hides no rare one."""
    diagnostics.warn("one", "first")
    diagnostics.warn("two", "second")
    assert messages(caplog) == ["first", "second"]


def test_the_first_warning_after_boot_is_not_held_back(clock, caplog):
    """A machine that has just started has a clock near zero."""
    clock[0] = 0.5
    diagnostics.warn("kind", "lost")
    assert messages(caplog) == ["lost"]


def test_a_reset_forgets(clock, caplog):
    """A forked child says everything anew."""
    diagnostics.warn("kind", "lost")
    diagnostics.reset()
    diagnostics.warn("kind", "lost")
    assert messages(caplog) == ["lost", "lost"]


def test_warnings_wait_until_locks_are_free(caplog):
    """While the thread has one of them nothing is logged; then everything is told, once and in order."""
    diagnostics.reset()
    first, second = diagnostics.lock(), diagnostics.lock()
    with first:
        diagnostics.warn("a", "first")
        with second:
            diagnostics.warn("b", "second %d", 2)
            diagnostics.warn("a", "first again")
        diagnostics.tell()
        assert caplog.messages == []
    diagnostics.tell()
    assert caplog.messages == ["first", "second 2"]
    diagnostics.warn("c", "at once")
    assert caplog.messages[-1] == "at once"


def test_a_lock_that_another_thread_has_holds_up_no_warning(caplog):
    """Only who has one may be waited for by a handler."""
    diagnostics.reset()
    held, done = threading.Event(), threading.Event()
    lock = diagnostics.lock()

    def hold():
        with lock:
            held.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    diagnostics.warn("a", "at once")
    done.set()
    thread.join()
    assert caplog.messages == ["at once"]
