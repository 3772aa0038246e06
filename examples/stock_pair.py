"""
An AuditFilter and a PostgresHandler in an application that has logging's own queue handler and listener.

The filter takes the event in the thread that logs, with its context. Needs PGLOG_AUDIT_CONNINFO and the table:
``pglog-audit init``.
"""

import atexit
import logging
from logging.handlers import QueueHandler, QueueListener
from queue import SimpleQueue

from pglog_audit import AuditFilter, PostgresHandler, audit, audit_context

logger = logging.getLogger("audit")


def configure() -> None:
    queue: SimpleQueue[logging.LogRecord] = SimpleQueue()
    queue_handler = QueueHandler(queue)
    queue_handler.addFilter(AuditFilter(service="booking"))
    logger.addHandler(queue_handler)
    logger.setLevel(logging.INFO)
    listener = QueueListener(queue, PostgresHandler())
    listener.start()
    atexit.register(listener.stop)


def main() -> None:
    configure()
    with audit_context(user_label="alice"):
        logger.info("Ticket sold", extra=audit("ticket.sell", metadata={"seats": 2}))


if __name__ == "__main__":
    main()
