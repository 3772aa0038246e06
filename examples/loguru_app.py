"""
An application that logs through loguru: its events are rows, and everything else goes to stderr.

Needs PGLOG_AUDIT_CONNINFO, the table (``pglog-audit init``) and ``pip install loguru``.
"""

import logging
import sys
from typing import Any

from loguru import logger

from pglog_audit import AuditHandler, audit

events = logging.getLogger("audit")


def is_event(record: Any) -> bool:
    return "audit" in record["extra"]


def store(message: Any) -> None:
    # A handler as the sink would not do: to it loguru gives its extra as one attribute, with the event inside.
    record = message.record
    extra = {name: record["extra"].get(name) for name in ("audit", "request_id")}
    events.log(record["level"].no, record["message"], exc_info=record["exception"], extra=extra)


def configure() -> None:
    events.setLevel(logging.INFO)
    events.addHandler(AuditHandler())
    logger.remove()
    # loguru knows of no masks: what it prints of an event is what the caller gave.
    logger.add(sys.stderr, format="{level} {message}", filter=lambda record: not is_event(record))
    # Not with enqueue=True: the event is taken in the thread that logs.
    logger.add(store, level="INFO", filter=is_event)


def print_ticket() -> None:
    raise ConnectionError("no answer from the printer")


def main() -> None:
    configure()
    with logger.contextualize(request_id="req-17"):
        logger.info("Seats held")
        payment = {"amount": "12.50", "card_number": "4111 1111 1111 1111"}
        logger.bind(**audit("ticket.sell", metadata=payment)).success("Ticket sold")
        try:
            print_ticket()
        except ConnectionError:
            logger.bind(**audit("ticket.print")).exception("Not printed")


if __name__ == "__main__":
    main()
