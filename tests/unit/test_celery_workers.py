"""What this package does for Celery's prefork children, without Celery."""

import signal
import sys
import threading
from queue import SimpleQueue

import pytest

from pglog_audit import writer_thread


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="signals are blocked on POSIX")
@pytest.mark.parametrize("module", ["billiard", "multiprocessing"])
def test_the_writer_takes_no_sigterm_of_a_child_of_celery(monkeypatch, module) -> None:
    """The writer's thread leaves SIGTERM to the main thread where Celery's billiard is loaded, and only there."""
    monkeypatch.delitem(sys.modules, "billiard", raising=False)
    monkeypatch.setitem(sys.modules, module, threading)
    masks: SimpleQueue = SimpleQueue()
    before = own_mask()
    writer_thread.start(lambda: masks.put(own_mask()), SimpleQueue())
    assert masks.get(timeout=10) - before == ({signal.SIGTERM} if module == "billiard" else set())
    assert own_mask() == before


def own_mask() -> set:
    """Return the signals that the running thread does not take."""
    return signal.pthread_sigmask(signal.SIG_BLOCK, ())
