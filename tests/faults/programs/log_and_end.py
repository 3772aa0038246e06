"""Log an event, say so, and when told log as many more as the argument says and end."""

import logging
import sys

from pglog_audit import AuditHandler, audit, flush

logger = logging.getLogger("audit")
logger.setLevel(logging.INFO)
logger.addHandler(AuditHandler(shutdown_timeout=1))
logger.info("Ticket opened", extra=audit("ticket.open"))
print(flush(30), flush=True)
sys.stdin.readline()
for n in range(int(sys.argv[1])):
    logger.info("Ticket opened", extra=audit("ticket.open", metadata={"n": n}))
