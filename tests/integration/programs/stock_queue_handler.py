"""Log through Python's QueueHandler and our listener, and end."""

import logging
import logging.handlers
import os
import queue
import sys

from pglog_audit import AuditFilter, AuditQueueListener, PostgresHandler, audit

lines: "queue.SimpleQueue[object]" = queue.SimpleQueue()
handler = logging.handlers.QueueHandler(lines)  # type: ignore[arg-type] # typeshed wants get and task_done
handler.addFilter(AuditFilter())
logger = logging.getLogger("audit")
logger.setLevel(logging.INFO)
logger.addHandler(handler)
listener = AuditQueueListener(lines, PostgresHandler(os.environ["PGLOG_AUDIT_CONNINFO"]))
listener.start()
for n in range(int(sys.argv[1])):
    logger.info("Ticket opened", extra=audit("ticket.open", metadata={"n": n}))
