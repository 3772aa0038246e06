"""Log from a signal handler, every few hundred microseconds, while the main thread logs; print how many it were."""

import logging
import signal
import sys

from pglog_audit import AuditHandler, audit

logger = logging.getLogger("audit")
logger.setLevel(logging.INFO)
logger.addHandler(AuditHandler(capacity=1000, block_timeout=None))
interruptions = 0
is_ringing = True


def on_alarm(*_: object) -> None:
    """Report the alarm to the audit trail."""
    global interruptions
    interruptions += 1
    logger.info("Alarm", extra=audit("alarm.ring"))
    if is_ringing:
        signal.setitimer(signal.ITIMER_REAL, 0.0001)


signal.signal(signal.SIGALRM, on_alarm)
signal.setitimer(signal.ITIMER_REAL, 0.0001)
for n in range(int(sys.argv[1])):
    logger.info("Ticket opened", extra=audit("ticket.open", metadata={"n": n}))
is_ringing = False
signal.setitimer(signal.ITIMER_REAL, 0)
print(int(sys.argv[1]) + interruptions)
