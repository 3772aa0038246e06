"""What an error means for the lines that were sent."""

import psycopg
import psycopg_pool
import pytest
from psycopg.pq import DiagnosticField

from pglog_audit.errors import ConfigurationError, SchemaError, UnreachableError
from pglog_audit.verdict import Verdict, verdict, words

STATES = {
    Verdict.AWAY: """
        08000 08003 08006 08001 08004 08007 08P01 57P01 57P02 57P03 57P04 57P05 25000 25001 25006 25P02 25P03 25P04
    """,
    Verdict.RETRY: "40000 40001 40002 40003 40P01 53000 53100 53200 53300 53400 55006 57000",
    Verdict.SMALLER: "55P03 57014",
    Verdict.CONFIGURATION: """
        42000 42501 42601 42602 42622 42701 42703 42704 42804 42P01 42P07 42P10 428C9 28000 28P01 3D000 3F000 23514
    """,
    Verdict.REFUSED: """
        22000 22001 22003 22007 22008 22021 22023 22P02 22P03 22P05 23000 23502 23503 23505 23P01 54000 54001
    """,
    Verdict.UNKNOWN: "XX000 XX001 XX002 0A000 58000 58030 P0001 55000 55P02 26000 F0000",
}


def failure(state, text="", **fields):
    """Return the error that psycopg raises for *state*, with the server's *fields*."""
    fields = {"SQLSTATE": state, "MESSAGE_PRIMARY": text, **fields}
    info = {DiagnosticField[name]: value.encode() for name, value in fields.items()}
    return psycopg.errors.lookup(state)(text, info=info)


@pytest.mark.parametrize(("expected", "state"), [(v, s) for v, states in STATES.items() for s in states.split()])
def test_a_state_means(expected, state):
    """Each state of PostgreSQL's appendix leads to what has to be done."""
    assert verdict(failure(state)) is expected


@pytest.mark.parametrize("state", ["XX000", "28000", "55000", "53200", "22P02"])
@pytest.mark.parametrize("severity", ["FATAL", "PANIC"])
def test_what_ends_the_session_means_away(state, severity):
    """Whatever the server gives for its reason, no line is at fault."""
    assert verdict(failure(state, SEVERITY_NONLOCALIZED=severity)) is Verdict.AWAY
    assert verdict(failure(state, SEVERITY_NONLOCALIZED="ERROR")) is not Verdict.AWAY


def test_a_check_with_a_name_refuses_a_value():
    """A check constraint has a name; a row without a partition fails with the same state and none."""
    assert verdict(failure("23514", CONSTRAINT_NAME="positive")) is Verdict.REFUSED


@pytest.mark.parametrize(
    "error",
    [
        psycopg.OperationalError("connection failed: FATAL: too many connections"),
        psycopg.OperationalError("consuming input failed: server closed the connection unexpectedly"),
        psycopg.InterfaceError("the connection is closed"),
        psycopg_pool.PoolTimeout("couldn't get a connection after 5.00 sec"),
        psycopg_pool.PoolClosed("the pool is closed"),
        UnreachableError("cannot connect"),
    ],
)
def test_no_answer_means_away(error):
    """Without a state no server has answered."""
    assert verdict(error) is Verdict.AWAY


@pytest.mark.parametrize(
    "error",
    [
        psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes"),
        ValueError("invalid"),
        UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"),
        RecursionError("maximum recursion depth exceeded"),
    ],
)
def test_what_the_client_refuses_is_a_value(error):
    """Encoders and psycopg turn values away before the server sees them."""
    assert verdict(error) is Verdict.REFUSED


@pytest.mark.parametrize("error", [ConfigurationError("conninfo cannot be parsed"), SchemaError("there is no table")])
def test_our_own_errors_are_configuration(error):
    """A table that is missing is nobody's value, though ConfigurationError is a ValueError."""
    assert verdict(error) is Verdict.CONFIGURATION


def test_the_watchdog_asks_for_less():
    """A batch that the server did not answer in time is sent again in parts."""
    assert verdict(TimeoutError("the server did not answer in time")) is Verdict.SMALLER


@pytest.mark.parametrize("error", [KeyError("x"), AttributeError("x"), OSError("x"), MemoryError()])
def test_everything_else_is_unknown(error):
    """An error that nobody foresaw is not taken for a value's fault at once."""
    assert verdict(error) is Verdict.UNKNOWN


@pytest.mark.parametrize("state", ["22P02", "22001", "23502", "23505", "P0001", "XX000"])
def test_a_refusal_is_told_without_the_value(state):
    """The server's texts repeat the row; the warning has state, constraint and our own words."""
    private = dict.fromkeys(("MESSAGE_DETAIL", "MESSAGE_HINT", "CONTEXT"), "hunter2")
    text = words(failure(state, "invalid input: hunter2", CONSTRAINT_NAME="one_each", **private))
    assert "hunter2" not in text
    assert state in text
    assert "one_each" in text


def test_a_refusal_names_the_column():
    """Where the server tells the column, whoever must mend it learns which one."""
    text = words(failure("23502", "null value: hunter2", COLUMN_NAME="amount", MESSAGE_DETAIL="hunter2"))
    assert text == "the server refuses a value for column amount (NotNullViolation, 23502)"


@pytest.mark.parametrize("state", ["42501", "42P01", "40001"])
def test_no_answer_is_told_with_the_rows_values(state):
    """Details, hints and contexts of the server are never repeated."""
    text = words(failure(state, "denied", MESSAGE_DETAIL="hunter2", MESSAGE_HINT="hunter2", CONTEXT="hunter2"))
    assert "hunter2" not in text
    assert state in text


def test_words_are_one_line():
    """An answer of several lines is cut to its first."""
    assert words(psycopg.OperationalError("connection failed: refused\n\tIs the server running?")) == (
        "connection failed: refused"
    )


@pytest.mark.parametrize("error", [KeyError(), psycopg.OperationalError(), TimeoutError("\n")])
def test_an_error_without_a_text_is_named(error):
    """There is always a word for the warning."""
    assert words(error) == type(error).__name__
