"""
What an error means for the lines that were sent.

The class of an exception never tells by itself: ``sqlstate`` does, by the tables of PostgreSQL's appendix
"PostgreSQL Error Codes"; its absence means that no server answered, or that psycopg refused the value itself.
"""

from enum import Enum

import psycopg

from .errors import AuditError, UnreachableError

READ_ONLY = (
    "The server is a standby, or a setting makes its transactions read-only: connect to the primary, with "
    "target_session_attrs=read-write where there are several hosts."
)
"""What to do about 25006."""


class Verdict(Enum):
    """What to do with a batch that was not stored."""

    AWAY = "the database is away: keep the lines, connect again later"
    RETRY = "the database cannot now: keep the lines, try again later"
    SMALLER = "it took too long: try again with fewer lines"
    CONFIGURATION = "the table or the role is not as it must be: keep the lines, be loud"
    REFUSED = "a value is refused: find its line"
    UNKNOWN = "not foreseen: try again, then find the line"


_BY_CLASS = {
    "08": Verdict.AWAY,
    "25": Verdict.AWAY,  # a session in a state that only we can leave, such as that of a demoted primary
    "22": Verdict.REFUSED,
    "23": Verdict.REFUSED,
    "54": Verdict.REFUSED,
    "28": Verdict.CONFIGURATION,
    "3D": Verdict.CONFIGURATION,
    "3F": Verdict.CONFIGURATION,
    "42": Verdict.CONFIGURATION,
    "40": Verdict.RETRY,
    "53": Verdict.RETRY,
    "57": Verdict.RETRY,
}
_BY_STATE = {
    "55006": Verdict.RETRY,
    "55P03": Verdict.SMALLER,
    "57014": Verdict.SMALLER,
}


def verdict(error: Exception) -> Verdict:
    """Return what *error* means."""
    if isinstance(error, UnreachableError):
        return Verdict.AWAY
    if isinstance(error, AuditError):
        return Verdict.CONFIGURATION
    if isinstance(error, TimeoutError):
        return Verdict.SMALLER
    if not isinstance(error, psycopg.Error):
        return Verdict.REFUSED if isinstance(error, ValueError | RecursionError) else Verdict.UNKNOWN
    state = error.sqlstate
    if state is None:
        return Verdict.REFUSED if isinstance(error, psycopg.DataError) else Verdict.AWAY
    if state == "23514" and not error.diag.constraint_name:
        return Verdict.CONFIGURATION  # no partition takes the row
    if state.startswith("57P0") or error.diag.severity_nonlocalized in ("FATAL", "PANIC"):
        return Verdict.AWAY
    return _BY_STATE.get(state) or _BY_CLASS.get(state[:2], Verdict.UNKNOWN)


def words(error: Exception) -> str:
    """Return *error* for a warning: without the values of a row, which the server's texts repeat."""
    if not isinstance(error, psycopg.Error) or not error.sqlstate:
        return str(error).strip().partition("\n")[0] or type(error).__name__
    constraint = f" by {error.diag.constraint_name}" if error.diag.constraint_name else ""
    if verdict(error) in (Verdict.REFUSED, Verdict.UNKNOWN):
        column = f" for column {error.diag.column_name}" if error.diag.column_name else ""
        value = f" a value{column}" if column or not constraint else ""
        return f"the server refuses{value}{constraint} ({type(error).__name__}, {error.sqlstate})"
    return f"{error.diag.message_primary}{constraint} ({error.sqlstate})"
