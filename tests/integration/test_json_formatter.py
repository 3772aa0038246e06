"""The event in the application's own log and the row of the same log call."""

import json
import logging
from datetime import UTC, datetime
from io import StringIO
from logging.handlers import QueueHandler, QueueListener
from queue import SimpleQueue
from uuid import UUID

import pytest

from pglog_audit import (
    AuditFilter,
    AuditHandler,
    AuditJsonFormatter,
    PostgresHandler,
    audit,
    audit_context,
    bind_audit_context,
    flush,
)
from pglog_audit.audit_event import EVENT_FIELDS
from pglog_audit.event import ID_FIELDS, WRITER_FIELDS

OPTIONS = {"mask": ["iban"], "service": "shop", "request_id_from": lambda: "req-17"}
CALLS = [
    audit("branding.update"),
    audit(
        "invoice.pay",
        user_id=UUID(int=1),
        event_id=UUID(int=2),
        entity_type="invoice",
        target_id=UUID(int=3),
        outcome="denied",
        changes={"state": ["open", "paid"], "token": ["hunter2", "hunter3"]},
        user_label="alice",
        target_label="Invoice 7",
        tenant_id=UUID(int=4),
        impersonator_id=UUID(int=5),
        source_ip="10.0.0.7",
        user_agent="curl/8",
        trace_id="0af7651916cd43dd8448eb211c80319c",
        occurred_at=datetime(2026, 1, 2, 3, 4, 5, 678901, UTC),
        metadata={"iban": "DE02120300000000202051", "deep": [{"password": "hunter2", "big": 10**30, "ratio": 0.1}]},
    ),
    audit("guest.import", metadata={"ratio": float("nan"), "by": "a\0b\ud800"}, plan="free", seats=2),
    audit("Updated", request_id="given", outcome="maybe", user_label="é" * 2000),
    {"audit": ["no", "dict"]},
]


@pytest.fixture(params=["before", "after", "on a parent"])
def console(request, database):
    """Print on a stream what the logger ``audit`` also stores: by a handler before, after or above the other."""
    stream = StringIO()
    printing, storing = logging.StreamHandler(stream), AuditHandler(database.writer, **OPTIONS)
    printing.setFormatter(AuditJsonFormatter(**OPTIONS))
    parent, logger = logging.getLogger("shop"), logging.getLogger("shop.audit")
    parent.setLevel(logging.INFO)
    parent.propagate = False
    handlers = [printing, storing] if request.param == "before" else [storing, printing]
    for handler in handlers:
        (parent if request.param == "on a parent" and handler is printing else logger).addHandler(handler)
    return stream


def printed(stream):
    """Return the events on *stream*."""
    return [json.loads(line)["audit"] for line in stream.getvalue().splitlines()]


def as_row(event):
    """Return *event* as the row holds it: what is no field is in the metadata, and what is left out is NULL."""
    row = {name: event.get(name) for name in EVENT_FIELDS if name not in WRITER_FIELDS}
    metadata = {**event.get("extra", {}), **(event.get("metadata") or {})}
    # Server and Python round to a microsecond in ways of their own.
    return {**row, "metadata": metadata, "occurred_at": pytest.approx(event["occurred_at"], abs=1e-6)}


def of_caller(row):
    """Return what neither writer nor server added to *row*, as JSON has it."""
    texts = {name: str(row[name]) for name in (*ID_FIELDS, "source_ip") if row[name] is not None}
    given = {name: value for name, value in row.items() if name not in WRITER_FIELDS}
    return {**given, **texts, "occurred_at": row["occurred_at"].timestamp()}


def test_line_and_row_agree(console, database):
    """Field by field the event on the console is the row, but for what the writer and the server add."""
    logger = logging.getLogger("shop.audit")
    with audit_context(user_label="bob"):
        for extra in CALLS:
            logger.info("With token=%s", "hunter2", extra=extra)
        logger.error("Not paid", extra=audit("invoice.pay"), exc_info=KeyError("hunter2"))
    assert flush(30) == 0
    rows = database.rows()
    assert len(rows) == len(CALLS) + 1
    assert [as_row(event) for event in printed(console)] == [of_caller(row) for row in rows]


def test_no_secret_reaches_the_console(console):
    """What is masked in the row is nowhere in the line."""
    logger = logging.getLogger("shop.audit")
    for extra in CALLS:
        logger.info("Bearer %s", "hunter2", extra={**extra, "session": "hunter2", "iban": "DE02"})
    assert len(console.getvalue().splitlines()) == len(CALLS)
    assert "hunter" not in console.getvalue()
    assert "DE02" not in console.getvalue()


def test_behind_a_stock_queue_handler(database):
    """The event that the filter took in the thread that logged is in the line and in the row."""
    bind_audit_context(user_label="alice")
    queue, stream = SimpleQueue(), StringIO()
    queue_handler, printing, storing = (
        QueueHandler(queue),
        logging.StreamHandler(stream),
        PostgresHandler(database.writer),
    )
    queue_handler.addFilter(AuditFilter(**OPTIONS))
    printing.setFormatter(AuditJsonFormatter())
    logger = logging.getLogger("audit")
    logger.setLevel(logging.INFO)
    logger.addHandler(queue_handler)
    listener = QueueListener(queue, printing, storing)
    listener.start()
    logger.info("Paid with token=%s", "hunter2", extra=CALLS[1])
    logger.info("Updated", extra=audit("branding.update", metadata={"iban": "DE02"}))
    listener.stop()
    storing.close()
    rows = database.rows()
    assert [as_row(event) for event in printed(stream)] == [of_caller(row) for row in rows]
    assert [row["user_label"] for row in rows] == ["alice", "alice"]
    assert rows[1]["metadata"] == {"iban": "***"}
