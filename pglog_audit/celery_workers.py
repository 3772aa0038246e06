"""The end of Celery's prefork children: they run no exit hook of Python, but send a signal of Celery's."""

import sys
from collections.abc import Callable


def at_child_exit(drain: Callable[[], None]) -> None:
    """
    Let Celery call *drain* where a prefork child ends, if the application imported Celery; a second call does nothing.

    https://docs.celeryq.dev/en/stable/userguide/signals.html#worker-process-shutdown
    """
    # None while another thread imports it.
    signal = getattr(sys.modules.get("celery.signals"), "worker_process_shutdown", None)
    if signal is not None:
        signal.connect(lambda **_: drain(), weak=False, dispatch_uid="pglog_audit")
