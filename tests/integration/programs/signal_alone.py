"""Log through a PostgresHandler without a queue, and from a signal handler that interrupts it; print counts."""

import logging
import signal

from pglog_audit import PostgresHandler, audit

handler = PostgresHandler()
logger = logging.getLogger("audit")
logger.setLevel(logging.INFO)
logger.addHandler(handler)
logging.getLogger("pglog_audit").addHandler(logging.NullHandler())
interruptions = 0
is_ringing = True


def on_alarm(*_: object) -> None:
    """Report the alarm to the audit trail."""
    global interruptions
    interruptions += 1
    logger.info("Alarm", extra=audit("alarm.ring"))
    # A machine on which a row takes longer than that would never come to the end.
    if is_ringing and interruptions < 100:
        signal.setitimer(signal.ITIMER_REAL, 0.003)


signal.signal(signal.SIGALRM, on_alarm)
signal.setitimer(signal.ITIMER_REAL, 0.003)
for n in range(300):
    logger.info("Ticket opened", extra=audit("ticket.open", metadata={"n": n}))
is_ringing = False
signal.setitimer(signal.ITIMER_REAL, 0)
print(300 + interruptions, handler.account.lost)
handler.close()
