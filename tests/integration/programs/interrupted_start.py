"""
Log from within the first log call of a writer, in turn at each place where Python runs signal handlers and finalizers.

These places are the beginnings of functions and the ends of calls into C, of which a profiler is told.
"""

import logging
import sys
from itertools import count
from types import FrameType

from pglog_audit import AuditHandler, audit

logger = logging.getLogger("audit")
logger.setLevel(logging.INFO)


class Interruption:
    """A profiler that logs at the place *n*."""

    def __init__(self, n: int) -> None:
        self.places_left = n

    def __call__(self, _frame: FrameType, what: str, _argument: object) -> None:
        """Count the places."""
        if what in ("call", "c_return"):
            self.places_left -= 1
            if self.places_left == 0:
                logger.info("Interrupted", extra=audit("ticket.interrupt"))


events = 0
for n in count(1):
    handler = AuditHandler(lifecycle=False, flush_interval=0.01 + n / 1e6)  # options of its own, so a writer of its own
    logger.addHandler(handler)
    extra = audit("ticket.open")
    interruption = Interruption(n)
    sys.setprofile(interruption)
    logger.info("Ticket opened", extra=extra)
    sys.setprofile(None)
    events += 1 + (interruption.places_left <= 0)
    handler.flush(60)
    logger.removeHandler(handler)
    handler.close()
    if interruption.places_left > 0:
        break
print(events)
