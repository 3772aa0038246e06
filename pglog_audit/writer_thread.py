"""The thread of a writer, and what gevent makes of it."""

import logging
import sys
import threading
from _queue import SimpleQueue  # gevent replaces queue.SimpleQueue, never this one
from collections.abc import Callable
from typing import Any

from . import celery_workers, diagnostics

NAME = "pglog_audit-writer"


def start(target: Callable[[], None], queue: Any) -> None:
    """
    Run *target*, which waits for *queue*, on a thread of its own.

    :raises RuntimeError: the interpreter ends and starts no thread any more.
    """
    # Who closes handlers holds the lock of logging, which psycopg would need to find its level.
    logging.getLogger("psycopg").isEnabledFor(logging.DEBUG)
    monkey = sys.modules.get("gevent.monkey")
    if monkey and monkey.is_module_patched("threading") and isinstance(queue, SimpleQueue):
        diagnostics.warn(
            "gevent",
            "gevent has patched threads after the audit handler was made: the audit writer runs on a real thread; "
            "call gevent.monkey.patch_all() before anything else is imported",
        )
        # A greenlet that waits for a queue of before the patch would stop all others for ever.
        monkey.get_original("_thread", "start_new_thread")(target, ())
    else:
        with celery_workers.sigterm_blocked():
            threading.Thread(target=target, name=NAME, daemon=True).start()
