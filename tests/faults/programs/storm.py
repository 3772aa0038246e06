"""
Log from a signal handler and from finalizers, in the middle of the main thread's log calls; print how many it were.

Arguments: the options as JSON, and how many events the main thread logs.
"""

import gc
import json
import logging
import signal
import sys

from pglog_audit import AuditHandler, audit

logger = logging.getLogger("audit")
logger.setLevel(logging.INFO)
logger.addHandler(AuditHandler(**json.loads(sys.argv[1])))
logged = dict.fromkeys(("ticket.open", "alarm.ring", "session.end"), 0)


def log(action: str) -> None:
    """Log an event, and count it."""
    logged[action] += 1
    logger.info("Logged", extra=audit(action))


class Session:
    """A session that reports its end, and that only the garbage collector can end."""

    def __init__(self) -> None:
        self.me = self

    def __del__(self) -> None:
        """Report the end."""
        log("session.end")


def on_alarm(*_: object) -> None:
    """Report the alarm, and set the next one."""
    log("alarm.ring")
    signal.setitimer(signal.ITIMER_REAL, 0.0005)


gc.set_threshold(5)
signal.signal(signal.SIGALRM, on_alarm)
signal.setitimer(signal.ITIMER_REAL, 0.0005)
for _ in range(int(sys.argv[2])):
    Session()
    log("ticket.open")
signal.signal(signal.SIGALRM, signal.SIG_IGN)
gc.collect()
gc.disable()
print(json.dumps(logged))
