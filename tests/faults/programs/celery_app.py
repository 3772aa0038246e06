"""A Celery application whose tasks log events; the environment names its broker and says what is different."""

import json
import logging
import logging.config
import os
import time
from pathlib import Path
from typing import Any

from celery import Celery, current_task, signals

from pglog_audit import audit


def task_id() -> str | None:
    """Return the id of the running task."""
    return current_task.request.id if current_task else None


LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {
        "audit": {
            "class": "pglog_audit.AuditHandler",
            "request_id_from": ["auto", task_id],
            "flush_interval": 600,
            **json.loads(os.environ["OPTIONS"]),
        }
    },
    "loggers": {os.environ.get("LOGGER", "audit"): {"handlers": ["audit"], "level": "INFO"}},
}


def configure(**_: object) -> None:
    """Configure logging, at import or when Celery says so."""
    logging.config.dictConfig(LOGGING)


if signal := os.environ.get("SIGNAL"):
    getattr(signals, signal).connect(configure)
else:
    configure()

logger = logging.getLogger("audit")
app = Celery("shop", broker="filesystem://")
app.conf.update(
    broker_transport_options=json.loads(os.environ["BROKER"]),
    worker_enable_remote_control=False,
    worker_hijack_root_logger="KEEP_ROOT" not in os.environ,
    worker_lost_wait=0.1,
    worker_timer_precision=0.1,
)
logger.info("Shop loaded", extra=audit("shop.load"))


@signals.worker_process_shutdown.connect
def leave(**_: object) -> None:
    """Log an event where a child ends; the drain comes first if its process, or the parent, logged before this line."""
    logger.info("Child ends", extra=audit("shop.leave"))


@app.task(name="order")
def order(number: int) -> None:
    """Log an event, and leave a file to say so."""
    logger.info("Ordered", extra=audit("order.place", metadata={"n": number}))
    Path(os.environ["LOGGED"], str(number)).touch()


@app.task(name="hang")
def hang() -> None:
    """Log an event, leave a file with the process, and never end."""
    logger.info("Waits", extra=audit("order.wait"))
    Path(os.environ["LOGGED"], f"pid-{os.getpid()}").touch()
    time.sleep(600)
