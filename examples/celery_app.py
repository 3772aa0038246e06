"""
A Celery worker whose events carry the request, the user and the tenant that asked for the work.

Needs PGLOG_AUDIT_CONNINFO, the table (``pglog-audit init``) and ``pip install celery``. Its broker is a directory.
In two terminals::

    celery -A celery_app worker
    python celery_app.py
"""

import logging
import os
import tempfile
from pathlib import Path
from uuid import UUID

from celery import Celery

from pglog_audit import AuditHandler, audit, audit_context
from pglog_audit.integrations.celery import carry_audit_context

logger = logging.getLogger("audit")
logger.setLevel(logging.INFO)
logger.addHandler(AuditHandler(service="tickets"))

broker = Path(os.environ.get("BROKER", Path(tempfile.gettempdir(), "tickets")))
folders = {
    "data_folder_in": broker / "queue",
    "data_folder_out": broker / "queue",
    "control_folder": broker / "control",
}
for folder in folders.values():
    folder.mkdir(parents=True, exist_ok=True)
app = Celery("tickets", broker="filesystem://")
app.conf.update(broker_transport_options={name: str(folder) for name, folder in folders.items()})
carry_audit_context()


@app.task(name="ticket.send")
def send_ticket(seats: int) -> None:
    logger.info("Ticket sent", extra=audit("ticket.send", metadata={"seats": seats}))
    print_receipt.delay()


@app.task(name="receipt.print")
def print_receipt() -> None:
    logger.info("Receipt printed", extra=audit("receipt.print"))
    raise RuntimeError("the printer is out of paper")


def main() -> None:
    """Do what a web request would, inside AuditMiddleware."""
    with audit_context(request_id="order-17", user_label="alice", tenant_id=UUID(int=1)):
        send_ticket.delay(2)
    send_ticket.delay(1)


if __name__ == "__main__":
    main()
