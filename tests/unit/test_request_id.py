"""Where the id of the running request comes from."""

import logging
from contextvars import ContextVar
from uuid import uuid4

import pytest
from structlog.contextvars import bound_contextvars

from pglog_audit import audit_context
from pglog_audit.errors import ConfigurationError
from pglog_audit.request_id import is_id, sources

variable: ContextVar[str] = ContextVar("variable")


def ask(given, **attributes):
    """Return what each source answers for a record with *attributes*."""
    record = logging.makeLogRecord(attributes)
    return [source(record) for source in sources(given)]


def ask_listed(given, **attributes):
    """Return what the sources before the context answer."""
    return ask(given, **attributes)[: -2 if "auto" in given else -1]


@pytest.mark.parametrize("value", [None, "", "-", "none", "None", "NONE", "null"])
def test_the_words_for_none_are_no_id(value):
    """What log formats print in place of an id is not stored as one."""
    assert not is_id(value)


@pytest.mark.parametrize("value", ["r-1", "--", "nonesuch", 0, 17, uuid4()])
def test_everything_else_is_an_id(value):
    """Numbers and UUIDs are ids like text."""
    assert is_id(value)


def test_auto_asks_the_record():
    """By default two attributes that middlewares set are tried, request_id first."""
    assert ask_listed(["auto"], request_id="r", correlation_id="c") == ["r", "c"]
    assert ask_listed(["auto"]) == [None, None]


def test_auto_asks_the_context_and_the_libraries_at_last():
    """After the record come the fields of the running request, then what other libraries know of it."""
    with audit_context(request_id="context"), bound_contextvars(request_id="structlog"):
        assert ask("auto", request_id="r", correlation_id="c") == ["r", "c", "context", "structlog"]


@pytest.mark.parametrize("given", [["auto", lambda: "mine"], [lambda: "mine", "auto"]])
def test_auto_in_a_list_keeps_the_libraries_last(given):
    """There it stands for the record's attributes; whatever else is listed comes before context and libraries."""
    with audit_context(request_id="context"), bound_contextvars(request_id="structlog"):
        answers = ask(given, request_id="r")
    assert (sorted(map(str, answers[:-2])), answers[-2:]) == (["None", "mine", "r"], ["context", "structlog"])


def test_the_context_is_asked_after_the_listed_sources():
    """Who lists sources has the context as the last, and no library."""
    with audit_context(request_id="context"), bound_contextvars(request_id="structlog"):
        assert ask([lambda: "a", lambda: None]) == ["a", None, "context"]


def test_a_callable_is_called():
    """A function without arguments is asked at each record."""
    assert ask_listed([lambda: "r"]) == ["r"]


def test_a_context_variable_is_read():
    """A ContextVar gives its value here and now; one without a value gives none."""
    assert ask_listed([variable]) == [None]
    token = variable.set("r")
    assert ask_listed([variable]) == ["r"]
    variable.reset(token)


def test_a_name_is_loaded():
    """A configuration file names a callable or a ContextVar."""
    assert ask_listed([f"{__name__}:variable"]) == [None]
    assert ask_listed(["builtins:str"]) == [""]


@pytest.mark.parametrize("kind", [list, tuple])
def test_a_list_is_tried_in_order(kind):
    """Sources may be mixed."""
    assert ask_listed(kind([lambda: "a", "auto", variable]), request_id="r") == ["a", "r", None, None]


@pytest.mark.parametrize("given", [lambda: "r", variable, "builtins:str", "auto"])
def test_one_source_needs_no_list(given):
    """A source alone is a list of one."""
    assert ask(given) == ask([given])


@pytest.mark.parametrize("given", [None, 5, ["auto", 5], [["auto"]], {"auto": 1}])
def test_what_is_no_source_is_refused(given):
    """The error names the option and what it may be."""
    with pytest.raises(ConfigurationError, match="request_id_from must be 'auto', a callable, a ContextVar"):
        sources(given)


@pytest.mark.parametrize("given", ["request_id", "no_such_module:x", "logging:INFO"])
def test_a_name_that_leads_nowhere_is_refused(given):
    """A misspelt reference is found at configuration, not at the first request."""
    with pytest.raises(ConfigurationError, match="request_id_from"):
        sources(given)
