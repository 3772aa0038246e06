"""What README.md says of actions, transactions, the application's own tests and other libraries."""

import asyncio
import subprocess
import sys
from types import SimpleNamespace
from uuid import uuid4

import psycopg_pool
import pytest
from sqlalchemy.orm import Session

from pglog_audit import AuditHandler, ConfigurationError, audit, audit_context, audit_on_commit, insert_event
from tests.support import configure
from tests.their_connections import engine

from .reader import README, read_sections, read_tables


@pytest.fixture
def logger(reader):
    """Return a logger whose events become rows."""
    return configure(reader.writer)


@pytest.fixture
def accounts(reader):
    """Make the table that README.md's actions change."""
    reader.database.execute("CREATE TABLE account (owner text, balance int)")
    reader.database.execute("INSERT INTO account VALUES ('alice', 20)")
    reader.database.execute("GRANT SELECT, UPDATE ON account TO PUBLIC")


def test_how_an_action_ended(reader, logger) -> None:
    """The block's row is the one that is shown; a call of the decorated function has the outcome of its exception."""
    names = reader.follow("How an action ended", logger=logger)
    invoice_id = uuid4()
    with pytest.raises(names["QuotaError"]):
        asyncio.run(names["send"](invoice_id))
    row = reader.rows()[-1]
    assert (row["target_id"], row["outcome"], row["message"]) == (invoice_id, "denied", "Invoice sent")
    assert row["metadata"].keys() == {"duration_ms", "exception"}


def test_many_events_at_once(reader, logger) -> None:
    """Each is a row; in a thread of asyncio's they have the context of who sent them there."""
    names = reader.follow("Many events at once", logger=logger, audit=audit, seat_ids=[uuid4() for _ in range(2000)])
    assert 'await asyncio.to_thread(audit_many, logger, "Seat released", events)' in README.read_text("utf-8")

    async def main():
        with audit_context(user_label="alice"):
            await asyncio.to_thread(names["audit_many"], logger, "Seat released", [audit("seat.release")])

    asyncio.run(main())
    rows = reader.rows()
    assert [row["target_id"] for row in rows[:-1]] == names["seat_ids"]
    assert [row["writer_seq"] for row in rows] == list(range(1, 2002))
    assert rows[-1]["user_label"] == "alice"


def test_in_the_applications_transaction(reader, logger, accounts) -> None:
    """Both calls make the rows of what has committed."""
    with engine(reader.database) as made:
        reader.follow("In the application's transaction", logger=logger, audit=audit, engine=made)
    placed, withdrawn = sorted(reader.rows(), key=lambda row: row["writer_id"] is None)
    assert (withdrawn["user_label"], withdrawn["message"], withdrawn["writer_seq"]) == ("alice", "5 withdrawn", None)
    assert (placed["message"], placed["writer_seq"]) == ("Order 17 placed", 1)
    assert reader.database.rows("TABLE account") == [{"owner": "alice", "balance": 15}]


def test_which_call_leaves_a_row_when_the_action_is_rolled_back(reader, logger) -> None:
    """The table of README.md, column by column: only the log call's row stays."""
    [rows] = read_tables("In the application's transaction")
    assert [(row[1].split("(")[0].strip("`"), row[2]) for row in rows] == [
        ("logger.info", "the row stays"),
        ("audit_on_commit", "no row"),
        ("insert_event", "no row"),
    ]
    with engine(SimpleNamespace(writer=reader.writer)) as made, Session(made) as session:
        logger.info("Tried", extra=audit("order.try"))
        audit_on_commit(session, logger, "Placed", extra=audit("order.place"))
        insert_event(session, audit("order.place"))
        session.rollback()
    assert [row["action"] for row in reader.rows()] == ["order.try"]


APP = """
import logging, logging.config
from pglog_audit import audit_action
logging.config.dictConfig({
    "version": 1,
    "handlers": {"audit": {"class": "pglog_audit.AuditHandler"}},
    "loggers": {"audit": {"handlers": ["audit"], "level": "INFO", "propagate": False}},
})
def delete_invoice(number):
    with audit_action("audit", "invoice.delete", target_id=number) as action:
        action.change({"status": "open"}, {"status": "deleted"})
"""


MARKED = """
import pytest

@pytest.mark.audit_writes
def test_write():
    delete_invoice(uuid4())
"""


def run_pytest(reader, test):
    """Run *test* as README.md's reader does, and return what pytest printed."""
    (reader.home / "test_invoices.py").write_text(APP + test)
    command = [sys.executable, "-m", "pytest", "-q", "--color=no", "-p", "no:cacheprovider"]
    return subprocess.run(command, cwd=reader.home, capture_output=True, text=True, check=False).stdout


def test_in_your_own_tests(reader) -> None:
    """The tests pass, only the marked one writes, and the answer to another question is the one that is shown."""
    plugin, answer, unittest = read_sections()["In your own tests"]
    shown = run_pytest(reader, plugin.text + unittest.text + MARKED)
    assert "3 passed" in shown, shown
    assert [row["changes"] for row in reader.rows()] == [{"status": ["open", "deleted"]}]
    asked = plugin.text.replace('outcome="success")', 'outcome="denied")')
    assert answer.text.strip() in run_pytest(reader, asked)


SENTRY = """
import logging, sentry_sdk
from pglog_audit import audit
sentry_sdk.init(
    dsn="http://key@127.0.0.1:9/1",
    before_send=lambda event, hint: print(len(event.get("breadcrumbs", {}).get("values", []))),
)
logger = logging.getLogger("audit")
logger.setLevel("INFO")
PREPARED
logger.info("Paid", extra=audit("invoice.pay"))
sentry_sdk.capture_message("Failed")
"""


def test_sentry() -> None:
    """With README.md's line Sentry has no breadcrumb of an event, and without it one."""
    [block] = read_sections()["Sentry"]
    for line, crumbs in ((block.text, "0"), ("", "1")):
        done = subprocess.run(
            [sys.executable, "-c", SENTRY.replace("PREPARED", line)], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == crumbs, done.stderr


def test_opentelemetry(reader, logger) -> None:
    """The row has the trace of the span."""
    reader.follow("OpenTelemetry", logger=logger, audit=audit)
    [row] = reader.rows()
    assert len(row["trace_id"]) == 32


def test_a_pool_for_asyncio(reader, accounts) -> None:
    """The handler refuses it by name; a transaction of one of its connections has the event."""
    names = reader.follow("psycopg's AsyncConnectionPool", audit=audit)

    async def main():
        async with psycopg_pool.AsyncConnectionPool(reader.writer, min_size=1, open=False) as pool:
            with pytest.raises(ConfigurationError, match="AsyncConnectionPool"):
                AuditHandler(pool=pool)
            await names["withdraw"](pool, 5)

    asyncio.run(main())
    assert [row["metadata"] for row in reader.rows()] == [{"amount": 5}]
    assert reader.database.rows("TABLE account") == [{"owner": "alice", "balance": 15}]
