"""Connections of our own: from a writer's options to a session that suits it."""

from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import tuple_row

from .conninfo import check_conninfo, describe_conninfo
from .errors import AuditError, UnreachableError
from .options import WriterOptions, check_pool
from .verdict import words

# prepare_threshold: behind a pooler another session would not know the prepared statement.
_FIXED: Mapping[str, Any] = {
    "autocommit": True,
    "prepare_threshold": None,
    "row_factory": tuple_row,
    "cursor_factory": psycopg.Cursor,
}


def find_target(options: WriterOptions) -> tuple[str, Mapping[str, Any]]:
    """
    Return conninfo and further parameters; a callable is asked each time, for tokens that expire.

    :raises UnreachableError: the callable failed, or says so.
    :raises ConfigurationError: a pool or conninfo that can never work.
    """
    conninfo, parameters = options.conninfo, dict[str, Any]()
    if options.pool is not None:
        pool = check_pool(options.pool)
        conninfo, parameters = pool.conninfo, (pool.kwargs() if callable(pool.kwargs) else pool.kwargs) or {}
    if callable(conninfo):
        try:
            conninfo = conninfo()
        except AuditError:
            raise  # it says itself what is wrong
        except Exception as error:  # noqa: BLE001 - the application's code; the database may be there a second later
            raise UnreachableError(f"the conninfo callable failed with {type(error).__name__}") from None
    return check_conninfo(conninfo or ""), parameters


def connect(
    conninfo: str, parameters: Mapping[str, Any], *, timeout: float, name: str, origin: str = ""
) -> psycopg.Connection[Any]:
    """
    Connect to *conninfo* with *parameters*, which win over *timeout* (seconds) and the application's *name*.

    :param origin: who named the database, for the error.
    :raises UnreachableError: no server, or none that lets this role in.
    """
    wanted: dict[str, Any] = {
        "connect_timeout": max(2, round(timeout)),
        "application_name": name,
        **conninfo_to_dict(conninfo),
        **parameters,
        **_FIXED,
    }
    try:
        return psycopg.connect(**wanted)
    except psycopg.Error as error:
        place = f"{describe_conninfo(conninfo)}{origin}"
        raise UnreachableError(f"cannot connect to {place}: {words(error)}") from None
