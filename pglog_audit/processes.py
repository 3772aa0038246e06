"""
How a process begins and ends, as far as its writers are concerned: fork and exit.

A forked child has the parent's objects, but none of its threads; a lock that another thread held stays closed for ever,
and closing a connection there ends the parent's session. So a child only assigns, and starts anew at its first record.
"""

import atexit
import os
import sys
import threading
import time
import weakref
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Protocol

from . import celery_workers, diagnostics
from .errors import ConfigurationError

FLUSH_TIMEOUT = 0.5
"""Seconds that flush() waits unless told otherwise: logging calls it under the lock of all logging."""


class Writer(Protocol):
    """What a process does with its writers."""

    @property
    def problem(self) -> str | None:
        """Why lines wait now."""

    @property
    def shutdown_timeout(self) -> float:
        """Seconds that it may take at exit."""

    def flush(self, timeout: float | None = None) -> int:
        """Wait for what is queued."""

    def end(self, timeout: float) -> bool:
        """Say in the table that this is the end, unless lines wait; return whether there is nothing more to say."""

    def lost(self) -> int:
        """Return how many lines were lost so far."""

    def give_up(self) -> int:
        """Keep what is queued on disk, or count it as lost."""

    def place_of_backlog(self) -> str | None:
        """Return the directory where lines of this process wait."""

    def stats(self) -> dict[str, Any]:
        """Return counters, ``queued`` among them."""

    def begin_in_child(self) -> None:
        """Start anew in a forked child."""


_writers: "weakref.WeakSet[Writer]" = weakref.WeakSet()
_exit_registered_in = 0
is_ending = False
"""Whether the drain at exit has come so far that a log call sees to its own line: see :func:`finish`."""
_draining_thread: int | None = None
"""Who sees to it now that log calls of other threads are written, too."""
_is_out_of_time = False
"""Whether a drain was broken off, or did not find its end in time: the next one tries it once."""
_told_places: set[str] = set()
"""Where lines wait, as stderr was told."""
_INTERVAL = 0.002


def add(writer: Writer) -> None:
    """Flush *writer* at exit, and start it anew in forked children."""
    _writers.add(writer)


def writers() -> list[Writer]:
    """Return the writers of this process."""
    while True:
        with suppress(RuntimeError):  # another thread added one meanwhile
            return list(_writers)


def flush_timeout(timeout: float | None) -> float:
    """
    Return the seconds that flush() waits at most.

    :raises ConfigurationError: *timeout* is no number.
    """
    if timeout is None:
        return FLUSH_TIMEOUT
    with suppress(TypeError, ValueError, OverflowError):
        if not isinstance(timeout, str | bytes):
            return float(timeout)
    raise ConfigurationError(f"timeout is {timeout!r}: it must be a number of seconds, or None for {FLUSH_TIMEOUT}")


def flush(writers: Iterable[Writer], timeout: float) -> int:
    """Flush *writers* within *timeout* seconds altogether and return how many lines are left."""
    deadline = time.monotonic() + timeout
    return sum(writer.flush(max(0.0, deadline - time.monotonic())) for writer in writers)


def end(writers: Iterable[Writer], timeout: float) -> int:
    """
    Flush *writers*, and let each say in the table that this is its end, within *timeout* seconds altogether.

    :return: how many lines are left.
    """
    deadline = time.monotonic() + timeout
    ending = list(writers)
    left = flush(ending, timeout)
    for writer in ending:
        writer.end(max(0.0, deadline - time.monotonic()))
    return left


def drain_at_exit() -> None:
    """Register the drain, once in each process, when it first writes: so it runs before what was registered earlier."""
    global _exit_registered_in, is_ending
    if _exit_registered_in == os.getpid():
        return
    _exit_registered_in = os.getpid()
    atexit.register(drain)
    if not threading.main_thread().is_alive():
        # Exit hooks run already, and none is added to those any more.
        is_ending = True
    if "multiprocessing.util" in sys.modules:
        # A child of multiprocessing ends without atexit before Python 3.13.
        sys.modules["multiprocessing.util"].Finalize(None, drain, exitpriority=0)
    celery_workers.at_child_exit(drain)


def shutdown_timeout() -> float:
    """Return for how many seconds the end of this process may write."""
    return max((writer.shutdown_timeout for writer in writers()), default=0.0)


def drain() -> None:
    """
    Write what is queued, as long as *shutdown_timeout* allows, and say in one line what was lost.

    Threads that go on logging wait for it once all of before is written, so each has one more line at most.
    """
    global is_ending, _draining_thread, _is_out_of_time
    ending, deadline = writers(), time.monotonic() + (0.0 if _is_out_of_time else shutdown_timeout())
    try:
        flush(ending, deadline - time.monotonic())
        _draining_thread, is_ending = threading.get_ident(), True
        # A line of another thread may come when it is to be said, and be a row when we ask whether any waits.
        while not _is_ended(ending, deadline):
            if time.monotonic() >= deadline:
                _is_out_of_time = True
                break
            time.sleep(_INTERVAL)
    except BaseException:
        _is_out_of_time = True
        raise
    finally:  # also where a second signal comes meanwhile
        is_ending = True
        if _is_queued(ending):
            # Before: a line is queued before its thread asks who drains, so those that are left to us are there.
            _draining_thread = None
        try:
            _give_up(ending)
        finally:
            _draining_thread = None
        _tell_places(ending)


def _is_ended(ending: list[Writer], deadline: float) -> bool:
    flush(ending, deadline - time.monotonic())
    are_ended = [writer.end(max(0.0, deadline - time.monotonic())) for writer in ending]
    return all(are_ended) and not _is_queued(ending)


def _is_queued(ending: list[Writer]) -> bool:
    return any(writer.stats()["queued"] for writer in ending)


def finish(ending: list[Writer], timeout: float) -> None:
    """Write what a log call queued at the end of the process, unless the drain does, and say if it was lost."""
    deadline = time.monotonic() + timeout
    while _draining_thread is not None:
        if _draining_thread == threading.get_ident() or time.monotonic() >= deadline:
            return
        time.sleep(_INTERVAL)
    left = 1
    try:
        left = end(ending, timeout)
    finally:
        if left:
            _give_up(ending)  # else what is queued is of other threads, which are here, too
        _tell_places(ending)


def _give_up(ending: list[Writer]) -> None:
    before = sum(writer.lost() for writer in ending)
    lost = sum(writer.give_up() for writer in ending)
    if lost:
        problem = next((writer.problem for writer in ending if writer.problem), "there was no time to write them")
        also = f" (and {before} before)" if before else ""
        _say(f"{lost} audit event{'s' * (lost > 1)} lost at exit{also}: {problem}")


def _tell_places(ending: list[Writer]) -> None:
    for place in {place for writer in ending if (place := writer.place_of_backlog())} - _told_places:
        _told_places.add(place)
        _say(f"audit events wait in {place}: the next writer stores them, or 'pglog-audit spool replay'")


def _say(text: str) -> None:
    with suppress(Exception):  # stderr may be closed, or None
        sys.stderr.write(f"pglog_audit: {text}\n")


def _begin_in_child() -> None:
    global is_ending, _draining_thread, _is_out_of_time
    _draining_thread, is_ending, _is_out_of_time = None, False, False
    _told_places.clear()
    diagnostics.reset()
    for writer in writers():
        writer.begin_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_in_child)
