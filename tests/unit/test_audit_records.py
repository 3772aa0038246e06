"""Records that reach an audit handler and are no events, or nearly."""

import logging
import subprocess
import sys
from io import StringIO

import pytest

from pglog_audit import AuditHandler, audit, audit_records
from tests.support import warnings


class Listener(AuditHandler):
    """An audit handler that keeps what it takes."""

    def __init__(self) -> None:
        super().__init__(enabled=False)
        self.taken: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep *record*."""
        self.taken.append(record)


@pytest.fixture(autouse=True)
def _first_records(monkeypatch):
    """Let no earlier record count."""
    monkeypatch.setattr(audit_records, "_heard_elsewhere", set())


def listening():
    """Return a logger with nothing but an audit handler; pytest adds its own at each phase of a test."""
    logger = logging.getLogger("audit")
    logger.setLevel(logging.INFO)
    logger.handlers[:] = [Listener()]
    logger.propagate = False
    return logger


@pytest.mark.parametrize(
    ("message", "arguments", "text"),
    [("Opened", (), "Opened"), ("Opened %d of %s", (2, "five"), "Opened 2 of five")],
    ids=["alone", "among others"],
)
def test_an_event_among_the_arguments_is_kept(caplog, message, arguments, text) -> None:
    """Without extra= the event is stored all the same, with its message, and the mistake is told."""
    logger = listening()
    logger.info(message, *arguments, audit("ticket.open"))
    [record] = logger.handlers[0].taken
    assert (record.audit, record.getMessage()) == ({"action": "ticket.open"}, text)
    [warning] = warnings(caplog)
    assert f"is an argument of the message at {__file__}:" in warning
    assert "write extra=audit(...)" in warning


def test_an_event_for_a_message_is_kept(caplog) -> None:
    """A log call with the event alone has no message, and a row."""
    logger = listening()
    logger.info(audit("ticket.open"))
    [record] = logger.handlers[0].taken
    assert (record.audit, record.getMessage()) == ({"action": "ticket.open"}, "")
    assert "write extra=audit(...)" in warnings(caplog)[0]


def test_a_dict_of_the_callers_is_no_event(caplog) -> None:
    """A mapping for the message's format is left alone."""
    logger = listening()
    logger.info("%(audit)s of %(name)s", {"audit": "a", "name": "b"})
    assert logger.handlers[0].taken == []
    assert "is an argument" not in "".join(warnings(caplog))


def test_a_record_that_goes_nowhere(caplog) -> None:
    """On a logger that has only an audit handler, a record without an event is told of, once."""
    logger = listening()
    for _ in range(3):
        logger.info("Opened")
    [warning] = warnings(caplog)
    assert warning.startswith("A record without audit(...) goes nowhere: logger 'audit' has only an audit handler (")
    assert f"({__file__}:" in warning


def test_a_record_with_another_handler(caplog) -> None:
    """A record that another handler hears, on the way up too, needs no word."""
    logger = listening()
    logger.propagate = True
    logging.root.addHandler(logging.StreamHandler(StringIO()))
    logger.info("Opened")
    assert warnings(caplog) == []


def test_psycopgs_own_records_need_no_word(caplog) -> None:
    """What the driver logs is neither an event nor a mistake."""
    driver = logging.getLogger("psycopg.pool")
    driver.propagate = False
    driver.handlers[:] = [Listener()]
    driver.warning("error connecting", extra=audit("ticket.open"))
    assert driver.handlers[0].taken == []
    assert [text for text in warnings(caplog) if "goes nowhere" in text] == []


def test_warnings_of_the_trail_are_seen_where_root_has_our_handler_alone() -> None:
    """An audit handler on root does not swallow what the trail says about itself."""
    program = """\
import logging
from pglog_audit import AuditHandler, audit
logging.basicConfig(level="INFO", handlers=[AuditHandler(enabled=False)])
logging.info("Opened", audit("ticket.open"))
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == (
        "audit(...) is an argument of the message at <string>:4: it is taken for the event all the same, "
        "but write extra=audit(...)\n"
    )
