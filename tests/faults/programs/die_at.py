"""
Log events, and be killed by SIGKILL at a step of their way; print the number of each whose call returned.

Say "spooled" when all are on disk because the database does not take them.

Arguments: the options as JSON, the step, in which of its calls, and how many events.
"""

import json
import logging
import os
import signal
import sys
import threading
from itertools import count
from typing import Any

from pglog_audit import AuditHandler, audit
from pglog_audit.backlog import Backlog
from pglog_audit.line_queue import LineQueue
from pglog_audit.spool import Spool
from pglog_audit.spool.segment_reader import SegmentReader
from pglog_audit.store import Store

STEPS: dict[str, tuple[type, str]] = {
    "record": (Backlog, "record"),
    "put": (LineQueue, "put_at_once"),
    "insert": (Store, "insert"),
    "forget": (Spool, "forget"),
    "append": (Spool, "append"),
    "keep": (Spool, "keep"),
    "acknowledge": (Spool, "acknowledge"),
    "remove": (SegmentReader, "remove"),
}


def die_at(moment: str, step: str, turn: int) -> None:
    """Let the process die *moment* (before or after) call number *turn* of *step*."""
    owner, name = STEPS[step]
    method = getattr(owner, name)
    calls = count(1)

    def dying(*args: Any, **options: Any) -> Any:
        is_last = next(calls) == turn
        if is_last and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = method(*args, **options)
        if is_last:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, dying)


moment, _, step = sys.argv[2].partition(" ")
die_at(moment, step, int(sys.argv[3]))
logger = logging.getLogger("audit")
logger.setLevel(logging.INFO)
handler = AuditHandler(**json.loads(sys.argv[1]))
logger.addHandler(handler)
total = int(sys.argv[4])
for n in range(total):
    logger.info("Ticket opened", extra=audit("ticket.open", metadata={"n": n}))
    os.write(1, f"{n}\n".encode())
pause = threading.Event().wait
for _ in range(3000):
    # For the writer to get to the step, or to the end of an attempt.
    if handler.stats()["spooled"] == total or pause(0.02):
        break
os.write(1, b"spooled\n")
pause(60)
