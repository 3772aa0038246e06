"""
The end by SIGTERM, for a program that does not handle it: what is queued is written first.

The handler raises nothing: SystemExit can be caught on its way, and then waits for each thread that is no daemon. Nor
does it drain: in the middle of a log call it would hold the very lock that the writer needs. So a thread drains, while
the main thread waits in the handler; if it is logging, it goes on until that call is over.
"""

import _thread
import os
import signal
import sys
import threading
import time
from types import FrameType
from typing import NoReturn

from . import processes
from .errors import ConfigurationError

_PATIENCE = 0.5
"""Seconds that a log call of the main thread may take to its end, before the drain begins."""
_SAME = 1.0
"""Seconds in which a further SIGTERM is the same one: timeout(1) sends it to its child, and to the child's group."""
_GRACE = 5.0
"""Seconds after shutdown_timeout until the process ends, whatever holds it: a full queue needs some to get to disk."""
_LAST = 1.0
"""Seconds that the main thread has to die of the signal."""
_INTERVAL = 0.005
_LOCKING = {"logging", "pglog_audit", "psycopg_pool"}
"""Packages with locks that a writer may need."""
_WAITING = ("pglog_audit.queue_listener", "flush")
"""Module and function that wait for a writer, and hold no lock."""


def flush_on_sigterm() -> bool:
    """
    Let SIGTERM write what is queued, as the end of the program does, before the process dies of it.

    For scripts and servers that do not handle SIGTERM: where somebody handles or ignores it already, and on Windows,
    which has no such signal, nothing changes. If the database hangs, it takes *shutdown_timeout* and about a second.
    Forked children do the same for what they logged. As always with SIGTERM, neither ``finally`` nor exit hooks run.

    :return: whether SIGTERM does this now.
    :raises ConfigurationError: this is not the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        name = threading.current_thread().name
        raise ConfigurationError(
            f"flush_on_sigterm() was called in the thread {name!r}, and Python sets signal handlers in the main thread "
            "only: call it there, before the work begins"
        )
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL and os.name == "posix":
        signal.signal(signal.SIGTERM, _on_sigterm)
    return signal.getsignal(signal.SIGTERM) is _on_sigterm


class _Drain:
    """The drain of one process, from the first SIGTERM to the last."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._began = time.monotonic()
        self._timeout = processes.shutdown_timeout()
        self._is_waited_for = False
        self._is_over = False
        self._has_asked = False
        """Whether the next signal is one of ours, which may find the main thread much later."""

    def start(self) -> None:
        """
        Begin to drain, on threads that need no lock of the module threading.

        :raises RuntimeError: the interpreter ends, or the system allows no more threads.
        """
        _thread.start_new_thread(self._end_in_time, ())
        _thread.start_new_thread(self._run, ())

    def wait(self, frame: FrameType | None) -> None:
        """Die when the drain is over; return if the main thread must go on for that, as *frame* tells."""
        is_ours, self._has_asked = self._has_asked, False
        if self._is_over or (time.monotonic() > self._began + _SAME and not is_ours):
            _die()
        if _is_logging(frame) or _is_cooperative():
            return
        self._is_waited_for = True
        while not self._is_over:
            time.sleep(_INTERVAL)
        _die()

    def finish(self) -> None:
        """Write what is queued."""
        try:
            processes.drain()
        finally:
            self._is_over = True

    def _run(self) -> None:
        while not self._is_waited_for and time.monotonic() < self._began + _PATIENCE and not _is_cooperative():
            time.sleep(_INTERVAL)
            if not self._is_waited_for:
                self._has_asked = True
                _thread.interrupt_main(signal.SIGTERM)
        self.finish()

    def _end_in_time(self) -> None:
        deadline = self._began + _PATIENCE + self._timeout + _GRACE
        while not self._is_over and time.monotonic() < deadline:
            time.sleep(_INTERVAL)
        self._is_over = True
        if not self._is_waited_for:
            os.kill(self.pid, signal.SIGTERM)
        time.sleep(_LAST)
        os._exit(128 + signal.SIGTERM)  # the main thread runs no Python now


_drain: _Drain | None = None


def _on_sigterm(_number: int, frame: FrameType | None) -> None:
    global _drain
    # A forked child has its parent's.
    if _drain is None or _drain.pid != os.getpid():
        _drain = drain = _Drain()
        try:
            drain.start()
        except RuntimeError:
            _drain = None
            if not _is_logging(frame):  # else it is the drain at exit that was interrupted, which goes on
                drain.finish()
                _die()
            return
    _drain.wait(frame)


def _is_logging(frame: FrameType | None) -> bool:
    """Tell whether the code that *frame* belongs to may hold a lock that a writer needs."""
    if frame is not None and (frame.f_globals.get("__name__"), frame.f_code.co_name) == _WAITING:
        return False
    while frame is not None:
        name = str(frame.f_globals.get("__name__"))
        if name.partition(".")[0] in _LOCKING and not name.startswith("pglog_audit.integrations."):
            return True
        frame = frame.f_back
    return False


def _is_cooperative() -> bool:
    """Tell whether writers are greenlets of gevent, which run only while the main thread does."""
    monkey = sys.modules.get("gevent.monkey")
    return bool(monkey and monkey.is_module_patched("threading"))


def _die() -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.raise_signal(signal.SIGTERM)
    os._exit(128 + signal.SIGTERM)  # no default action ends the first process of a container
