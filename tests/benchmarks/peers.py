"""
What a user would pick instead, each as its documentation shows it: from the log call to the row, in one process.

All send one INSERT a record, since that is what there is. The stock pair and loguru write into our table, as a role
that may only insert; auditchain makes a table of its own, which has one index.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from logging.handlers import QueueHandler, QueueListener
from queue import SimpleQueue
from typing import Any
from urllib.parse import urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.json import Jsonb

from pglog_audit import AuditHandler

from .server import Database
from .workload import ids, log, logger_with

_COLUMNS = "action, user_id, event_id, target_id, entity_type, request_id, metadata, message, occurred_at"
_INSERT = f"INSERT INTO audit_log ({_COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"


@dataclass(frozen=True)
class Recorder:
    """A way from the log call to the row: *log* makes that many calls, *finish* returns when all are rows."""

    log: Callable[[int], None]
    finish: Callable[[], object]


@contextmanager
def ours(database: Database) -> Iterator[Recorder]:
    """Log through an AuditHandler."""
    handler = AuditHandler(database.writer)
    logger = logger_with("ours", handler)
    with closing(handler):
        yield Recorder(lambda count: log(logger, count), lambda: handler.flush(600))


@contextmanager
def stock_pair(database: Database) -> Iterator[Recorder]:
    """Log through the standard library's QueueHandler, with a handler behind its QueueListener that inserts."""
    queue: SimpleQueue[Any] = SimpleQueue()
    with psycopg.connect(database.writer, autocommit=True) as connection:
        listener = QueueListener(queue, InsertHandler(connection))
        listener.start()
        logger = logger_with("stock", QueueHandler(queue))

        def finish() -> None:
            listener.stop()  # when the queue is empty
            listener.start()

        try:
            yield Recorder(lambda count: log(logger, count), finish)
        finally:
            listener.stop()


class InsertHandler(logging.Handler):
    """Make one row of one record, through *connection*."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        super().__init__()
        self._connection = connection

    def emit(self, record: logging.LogRecord) -> None:
        """Insert *record*."""
        try:
            insert(self._connection, record.audit, record.getMessage(), datetime.fromtimestamp(record.created, UTC))  # type: ignore[attr-defined]
        except Exception:
            self.handleError(record)


def insert(connection: psycopg.Connection[Any], event: dict[str, Any], message: str, occurred_at: datetime) -> None:
    """Insert one event."""
    given = (event[name] for name in ("action", "user_id", "event_id", "target_id", "entity_type", "request_id"))
    connection.execute(_INSERT, (*given, Jsonb(event["metadata"]), message, occurred_at))


@contextmanager
def loguru(database: Database) -> Iterator[Recorder]:
    """Log through loguru with ``enqueue=True``, to a sink that inserts."""
    from loguru import logger

    with psycopg.connect(database.writer, autocommit=True) as connection:

        def sink(message: Any) -> None:
            record = message.record
            insert(connection, record["extra"]["audit"], record["message"], record["time"])

        logger.remove()
        sink_id = logger.add(sink, enqueue=True, format="{message}", level="INFO", catch=True)

        def log_bound(count: int) -> None:
            for user_id, event_id, target_id, request_id in ids(count):
                event = {
                    "action": "branding.update",
                    "user_id": user_id,
                    "event_id": event_id,
                    "target_id": target_id,
                    "entity_type": "branding",
                    "request_id": request_id,
                    "metadata": {"field": "logo", "size": 48213, "format": "png", "was": None},
                }
                logger.bind(audit=event).info("Logo replaced")

        try:
            yield Recorder(log_bound, logger.complete)
        finally:
            logger.remove(sink_id)


@contextmanager
def auditchain(database: Database) -> Iterator[Recorder]:
    """Log through auditchain's logging handler, which writes on a thread, with its PostgreSQL backend."""
    from auditchain import AuditLog, AuditLogHandler
    from auditchain.backends.postgres import PostgresBackend

    handler = AuditLogHandler(AuditLog(PostgresBackend(_url(database.owner))), close_log=True)
    logger = logger_with("auditchain", handler)

    def log_overrides(count: int) -> None:
        for user_id, event_id, target_id, request_id in ids(count):
            logger.info(
                "Logo replaced",
                extra={
                    "audit_actor": user_id,
                    "audit_action": "branding.update",
                    "audit_subject": target_id,
                    "audit_metadata": {
                        "event_id": str(event_id),
                        "entity_type": "branding",
                        "request_id": request_id,
                        "field": "logo",
                        "size": 48213,
                        "format": "png",
                        "was": None,
                    },
                },
            )

    with closing(handler):
        yield Recorder(log_overrides, handler.flush)


def _url(conninfo: str) -> str:
    # asyncpg takes URLs only.
    parts = conninfo_to_dict(conninfo)
    return f"postgresql:///{parts.pop('dbname')}?{urlencode(parts)}"


RECORDERS: dict[str, Callable[[Database], AbstractContextManager[Recorder]]] = {
    "pglog_audit": ours,
    "stock pair": stock_pair,
    "loguru": loguru,
    "auditchain": auditchain,
}
