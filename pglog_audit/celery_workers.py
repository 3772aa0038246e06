"""What Celery's prefork children need: they run no exit hook of Python, and share locks that no SIGTERM may cut off."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def at_child_exit(drain: Callable[[], None]) -> None:
    """
    Let Celery call *drain* where a prefork child ends, if the application imported Celery; a second call does nothing.

    https://docs.celeryq.dev/en/stable/userguide/signals.html#worker-process-shutdown
    """
    # None while another thread imports it.
    worker_process_shutdown = getattr(sys.modules.get("celery.signals"), "worker_process_shutdown", None)
    if worker_process_shutdown is not None:
        worker_process_shutdown.connect(lambda **_: drain(), weak=False, dispatch_uid="pglog_audit")


@contextmanager
def sigterm_blocked() -> Iterator[None]:
    """
    Give no SIGTERM to the threads that are started in the block, if the application imported Celery's billiard.

    Where a child ends, billiard takes a lock that it shares with the whole pool, and blocks SIGTERM meanwhile, but in
    the main thread alone. Another thread would take the signal, the process would die with the lock closed, and the
    worker would wait for it for ever.
    """
    if "billiard" not in sys.modules or not hasattr(signal, "pthread_sigmask"):
        yield
        return
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # which a new thread inherits
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
