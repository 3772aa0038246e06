"""Log from finalizers that the garbage collector runs while the main thread logs; print how many it were."""

import gc
import logging
import sys

from pglog_audit import AuditHandler, audit

logger = logging.getLogger("audit")
logger.setLevel(logging.INFO)
logger.addHandler(AuditHandler())
ends = 0


class Session:
    """A session that reports its end, and that only the garbage collector can end."""

    def __init__(self) -> None:
        self.me = self

    def __del__(self) -> None:
        """Report the end."""
        global ends
        ends += 1
        logger.info("Session over", extra=audit("session.end"))


gc.set_threshold(5)
for n in range(int(sys.argv[1])):
    Session()
    logger.info("Ticket opened", extra=audit("ticket.open", metadata={"n": n}))
gc.collect()
gc.disable()
print(int(sys.argv[1]) + ends)
