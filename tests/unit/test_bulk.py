"""Many events in one call."""

import inspect
import logging

import pytest

from pglog_audit import audit, audit_context, audit_many
from pglog_audit.testing import capture_audit
from tests.support import warnings


@pytest.fixture
def events():
    with capture_audit("shop", id_types={"target_id": "bigint"}) as events:
        yield events


def test_each_event_is_as_a_log_call_makes_it(events):
    """Context, sentence and mask hold for each; what is done to a dict afterwards changes nothing."""
    logger = logging.getLogger("shop")
    given = {"n": 0, "password": "hunter2"}

    def seats():
        for n in range(3):
            given["n"] = n
            yield audit("seat.release", target_id=n, metadata=given)

    with audit_context(user_label="alice"):
        audit_many(logger, "Seat released", seats())
    assert [(event.target_id, event.metadata) for event in events] == [
        (n, {"n": n, "password": "***"}) for n in range(3)
    ]
    assert {(event.message, event.user_label) for event in events} == {("Seat released", "alice")}


def test_a_sentence_of_its_own(events):
    """An event may bring its own message, and a percent sign in the common one stays."""
    audit_many("shop", "100 %s", [audit("a.b"), audit("a.b", message="Own")])
    assert [event.message for event in events] == ["100 %s", "Own"]


def test_levels_and_filters_count(events, caplog):
    """As with a log call."""
    logger = logging.getLogger("shop")
    logger.addFilter(lambda record: record.audit["action"] != "a.c")
    audit_many(logger, "Done", [audit("a.b"), audit("a.c")])
    audit_many(logger, "Done", [audit("a.d")], level=logging.DEBUG)
    assert [event.action for event in events] == ["a.b"]


def test_the_place_is_that_of_the_call(events, caplog):
    """Each record names the caller's line."""
    audit_many("shop", "Done", [audit("a.b"), audit("a.c")])
    line = inspect.currentframe().f_lineno - 1
    assert [(record.pathname, record.lineno) for record in caplog.records] == [(__file__, line)] * 2


def test_what_the_iterable_raises_goes_on(events):
    """What came before is logged."""

    def broken():
        yield audit("a.b")
        raise KeyError

    with pytest.raises(KeyError):
        audit_many("shop", "Done", broken())
    assert [event.action for event in events] == ["a.b"]


def test_what_is_no_event_is_stored_and_marked(events):
    """As with a log call: nothing that was logged is turned away."""
    audit_many("shop", "Done", [{"action": "a.b"}, 17])
    assert [event.action for event in events] == ["a.b", "unknown"]


@pytest.mark.parametrize("given", [audit("a.b"), audit("a.b")["audit"], "a.b", 17])
def test_one_event_in_place_of_a_list(events, caplog, given):
    """It is logged as a list of one would be, and a warning says what is wanted, and where."""
    audit_many("shop", "Done", given)
    line = inspect.currentframe().f_lineno - 1
    [event] = events
    assert event.action == ("a.b" if isinstance(given, dict) else "unknown")
    expected = f"audit_many takes a list of events: the {type(given).__name__} at {__file__}:{line} is logged as one"
    assert expected in warnings(caplog)


def test_a_logger_is_needed():
    """Anything else is a TypeError, and so is one in the place of the sentence."""
    with pytest.raises(TypeError, match=r"audit_many takes a logging\.Logger"):
        audit_many(None, "Done", [])
    with pytest.raises(TypeError, match="audit_many takes the logger before 'Done': swap the two"):
        audit_many("Done", logging.getLogger("shop"), [])
