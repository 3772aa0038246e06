"""An event that no handler hears says so, once, with the place it comes from."""

import copy
import inspect
import logging
import multiprocessing
import os
import pickle
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from logging.handlers import QueueHandler
from queue import SimpleQueue

import pytest

from pglog_audit import AuditFilter, AuditHandler, audit, call_sites
from tests.support import warnings


@pytest.fixture(autouse=True)
def _first_calls(monkeypatch):
    """Let every place in the test be seen for the first time, and no place of others be missed meanwhile."""
    monkeypatch.setattr(call_sites, "_known", set())
    monkeypatch.setattr(call_sites, "_told", set())


def listening():
    """Return a logger that has an audit handler and lets INFO pass."""
    return only(AuditHandler(enabled=False), "audit")


def shop():
    """Return a logger that has nothing to do with the audit trail."""
    return only(logging.NullHandler(), "shop")


def only(handler, name):
    """
    Return the logger *name* with *handler* and no other.

    Those of pytest, which it adds at each phase of a test, keep every record, and so the event in it.
    """
    logger = logging.getLogger(name)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.handlers[:] = [handler]
    return logger


def line() -> int:
    """Return the number of the line that calls."""
    frame = inspect.currentframe()
    assert frame
    assert frame.f_back
    return frame.f_back.f_lineno


def test_an_event_that_is_heard_says_nothing(caplog) -> None:
    """The usual call warns of nothing, however often."""
    logger = listening()
    for _ in range(3):
        logger.info("Opened", extra=audit("ticket.open"))
    assert warnings(caplog) == []


def test_an_event_that_a_filter_replaces_is_heard(caplog) -> None:
    """The handler got another dict than the place made, and the row is stored all the same."""

    def complete(record):
        record.audit = {**record.audit, "tenant_id": 1}
        return True

    logger = listening()
    logger.handlers[0].addFilter(complete)
    logger.info("Opened", extra=audit("ticket.open"))
    assert warnings(caplog) == []


def test_the_level_of_the_logger(caplog) -> None:
    """A logger without a level of its own has root's WARNING: the warning says where and what to set."""
    logger = listening()
    logger.setLevel(logging.NOTSET)
    assert logging.root.level == logging.WARNING
    logger.info("Opened", extra=audit("ticket.open"))
    [warning] = warnings(caplog)
    assert warning == (
        f"The event 'ticket.open' of {__file__}:{line() - 3} reached no audit handler: "
        "logger 'audit' has level WARNING, as root has; set its level to INFO"
    )


def test_the_level_is_told_once_for_each_place(caplog) -> None:
    """A place in a loop warns once; another place warns too."""
    logger = listening()
    logger.setLevel(logging.ERROR)
    for _ in range(3):
        logger.info("Opened", extra=audit("ticket.open"))
    logger.info("Closed", extra=audit("ticket.close"))
    assert [("'ticket.open'" in text, "'ticket.close'" in text) for text in warnings(caplog)] == [
        (True, False),
        (False, True),
    ]
    assert "has level ERROR; set" in warnings(caplog)[0]


def test_the_level_of_the_handler(caplog) -> None:
    """The handler's own level counts as well."""
    logger = listening()
    logger.handlers[0].setLevel("CRITICAL")
    logger.info("Opened", extra=audit("ticket.open"))
    [warning] = warnings(caplog)
    assert "the handler on logger 'audit' has level CRITICAL; set it to INFO" in warning


def test_another_logger(caplog) -> None:
    """The warning names the logger that has the handler."""
    listening()
    shop().warning("Opened", extra=audit("ticket.open"))
    [warning] = warnings(caplog)
    assert "logger 'audit' has one and takes INFO and above; log to it or to a child of it" in warning


def test_a_logger_adapter(caplog) -> None:
    """An adapter that replaces extra is told from a logger that does not lead to the handler."""
    logger = listening()
    adapter = logging.LoggerAdapter(logger, {"shop": "north"})
    adapter.info("Opened", extra=audit("ticket.open"))
    [warning] = warnings(caplog)
    assert f"{__file__}:{line() - 2} reached no audit handler: its record came to logger 'audit' without" in warning
    assert "merge_extra=True" in warning


@pytest.mark.skipif(sys.version_info < (3, 13), reason="merge_extra is of Python 3.13")
def test_a_logger_adapter_that_merges(caplog) -> None:
    """An adapter with merge_extra=True keeps the event."""
    logger = listening()
    adapter = logging.LoggerAdapter(logger, {"shop": "north"}, merge_extra=True)
    adapter.info("Opened", extra=audit("ticket.open"))
    assert warnings(caplog) == []


def test_a_disabled_logger(caplog) -> None:
    """What dictConfig does to loggers that it does not name is told for what it is."""
    logger = listening()
    logger.disabled = True
    logger.info("Opened", extra=audit("ticket.open"))
    [warning] = warnings(caplog)
    assert "logger 'audit' is disabled, which dictConfig does unless disable_existing_loggers is False" in warning


def test_logging_is_disabled(caplog) -> None:
    """A call of logging.disable is found."""
    logger = listening()
    logging.disable(logging.INFO)
    logger.info("Opened", extra=audit("ticket.open"))
    [warning] = warnings(caplog)
    assert "logging.disable(INFO) is in force" in warning


def test_without_any_handler_nothing_is_amiss(caplog, monkeypatch) -> None:
    """Not configured means a no-op: no watch, no warning."""
    monkeypatch.setattr(call_sites, "_is_expected", False)
    extra = audit("ticket.open")
    assert type(extra["audit"]) is dict
    shop().info("Opened", extra=extra)
    assert warnings(caplog) == []


def test_an_exit_hook_that_is_audit_itself() -> None:
    """Called by nobody but the interpreter, audit still returns."""
    program = "import atexit, pglog_audit as p; p.AuditHandler(); atexit.register(p.audit, 'ticket.open')"
    environ = os.environ | {"PGLOG_AUDIT_DISABLED": "1", "PGHOST": "nowhere"}
    done = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_a_handler_that_was_removed_is_missed(caplog) -> None:
    """Once no logger has a handler of ours, somebody took it away: Celery, or a later configuration."""
    AuditHandler(enabled=False).close()
    shop().info("Opened", extra=audit("ticket.open"))
    [warning] = warnings(caplog)
    assert "'ticket.open'" in warning
    assert "reached no audit handler: no logger has one any more" in warning


def ticket():
    """Return the extra of an event, as a function of the application's might."""
    return audit("ticket.open")


def logged_later(logger):
    extra = audit("ticket.open")
    logging.getLogger("shop").debug("Something else")
    logger.info("Opened", extra=extra)


def merged(logger):
    logger.info("Opened", extra={**audit("ticket.open"), "shop": "north"})


def not_logged(logger):
    extra = audit("ticket.open")
    logger.info("Something else")
    del extra


def dropped_on_rollback(logger):
    waiting = [audit("ticket.open"), audit("ticket.close")]
    waiting.clear()


def failed_before_the_call(logger):
    with suppress(ValueError):
        logger.info(audit("ticket.open"), int("x"))


def copied(logger):
    logger.info("Opened", extra=copy.deepcopy(audit("ticket.open")))


def pickled(logger):
    logger.info("Opened", extra=pickle.loads(pickle.dumps(audit("ticket.open"))))


def made_by_another_process(logger):
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
        logger.info("Opened", extra=pool.submit(ticket).result())


def logged_by_a_forked_child(logger):
    extra = audit("ticket.open")
    child = multiprocessing.get_context("fork").Process(target=logger.info, args=("Opened",), kwargs={"extra": extra})
    child.start()
    child.join()


@pytest.mark.parametrize(
    "correct",
    [
        logged_later,
        merged,
        not_logged,
        dropped_on_rollback,
        failed_before_the_call,
        copied,
        pickled,
        made_by_another_process,
        logged_by_a_forked_child,
    ],
)
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # a fork beside threads of other tests
def test_a_correct_program_is_not_accused(caplog, correct) -> None:
    """An event that is logged elsewhere, or not at all by the program's own decision, is no mistake."""
    logger = only(AuditHandler(enabled=False), "audit")
    logger.addHandler(logging.NullHandler())
    correct(logger)
    assert warnings(caplog) == []


def test_an_event_in_a_variable_on_a_logger_that_lets_none_pass(caplog) -> None:
    """Where no event at all can be stored, those that wait in a variable are told, too."""
    logger = listening()
    logger.setLevel("ERROR")
    extra = audit("ticket.open")
    logger.info("Opened", extra=extra)
    del extra
    assert "has level ERROR; set its level to INFO" in warnings(caplog)[0]


def in_variable(logger):
    extra = audit("ticket.open")
    logger.warning("Opened", extra=extra)


def test_an_event_in_a_variable_on_another_logger(caplog) -> None:
    """That a logger made a record of it is known wherever the event comes from."""
    listening()
    in_variable(shop())
    [warning] = warnings(caplog)
    assert "logger 'audit' has one and takes INFO and above" in warning


def test_an_event_in_a_variable_for_a_logger_adapter(caplog) -> None:
    """An adapter that replaces extra was given the event."""
    logger = listening()
    in_variable(logging.LoggerAdapter(logger, {"shop": "north"}))
    [warning] = warnings(caplog)
    assert "its record came to logger 'audit' without extra, which a LoggerAdapter replaces" in warning


def helper(logger, action):
    logger.info("Done", extra=audit(action))


def test_a_place_that_was_heard_is_missed_when_its_handler_is_taken_away(caplog) -> None:
    """Whoever closes the handler, as dictConfig does, makes each place tell once more what becomes of its events."""
    logger = listening()
    helper(logger, "ticket.open")
    logger.handlers.pop().close()
    for _ in range(3):
        helper(logger, "ticket.close")
    [warning] = warnings(caplog)
    assert "'ticket.close'" in warning
    assert "no logger has one any more" in warning


@pytest.mark.parametrize("is_over", [False, True], ids=["within a minute", "a minute later"])
def test_a_place_that_was_heard_is_watched_again(caplog, monkeypatch, is_over) -> None:
    """A level that is raised while the program runs is told within a minute, and then no more."""
    logger = listening()
    helper(logger, "ticket.open")
    logger.setLevel("ERROR")
    for _ in range(3):
        if is_over:
            monkeypatch.setattr(call_sites, "_known_until", 0.0)
        helper(logger, "ticket.close")
    assert ["has level ERROR; set its level to INFO" in text for text in warnings(caplog)] == [True] * is_over


def test_the_filter_of_a_stock_queue_handler_hears(caplog) -> None:
    """Behind a stock QueueHandler the AuditFilter is what hears; its logger is named to those who miss it."""
    handler = QueueHandler(SimpleQueue())
    handler.addFilter(AuditFilter())
    only(handler, "audit").info("Opened", extra=audit("ticket.open"))
    assert warnings(caplog) == []
    shop().warning("Opened", extra=audit("ticket.open"))
    [warning] = warnings(caplog)
    assert "logger 'audit' has one" in warning


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda event: pickle.loads(pickle.dumps(event))])
def test_copies_are_plain(duplicate, caplog) -> None:
    """A copy is a plain dict of the same content, which nobody watches."""
    logger = listening()
    extra = audit("ticket.open", entity_type="ticket")
    event = duplicate(extra["audit"])
    assert type(event) is dict
    assert event == extra["audit"]
    logger.info("Opened", extra=extra)
    del extra, event
    assert warnings(caplog) == []
