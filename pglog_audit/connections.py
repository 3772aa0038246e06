"""Connections of our own: from a writer's options to a session that suits it."""

from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import tuple_row

from .conninfo import check_conninfo, describe_conninfo, find_libpq_variable, is_blank
from .errors import AuditError, ConfigurationError, SchemaError, UnreachableError
from .options import WriterOptions, check_pool
from .verdict import words

# prepare_threshold: behind a pooler another session would not know the prepared statement.
_FIXED: Mapping[str, Any] = {
    "autocommit": True,
    "prepare_threshold": None,
    "row_factory": tuple_row,
    "cursor_factory": psycopg.Cursor,
}

NO_ENCODING = (
    "has the encoding SQL_ASCII, which takes no text but ASCII: make one with CREATE DATABASE … ENCODING 'UTF8'"
)


def find_target(options: WriterOptions) -> tuple[str, Mapping[str, Any]]:
    """
    Return conninfo and further parameters; a callable is asked each time, for tokens that expire.

    :raises UnreachableError: the callable failed, says so, or names no database.
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
        if options.pool is None and is_blank(conninfo) and find_libpq_variable() is None:
            raise UnreachableError(
                "the conninfo callable returned an empty conninfo, and neither PGHOST, PGSERVICE nor PGDATABASE names "
                "a database: let it return postgresql://user@host/dbname"
            )
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
        **conninfo_to_dict(in_utf8(conninfo)),
        **parameters,
        **_FIXED,
    }
    try:
        return psycopg.connect(**wanted)
    except psycopg.Error as error:
        place = f"{describe_conninfo(conninfo)}{origin}"
        raise UnreachableError(f"cannot connect to {place}: {words(error)}") from None


def in_utf8(conninfo: str) -> str:
    """Return *conninfo* that asks for texts in UTF-8, unless it asks for others: in SQL_ASCII they come as bytes."""
    return make_conninfo(conninfo, **{"client_encoding": "utf8", **conninfo_to_dict(conninfo)})


def require_encoding(connection: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    """
    Return *connection*, if every text can be told over it.

    :raises SchemaError: the database knows no encoding.
    :raises ConfigurationError: the conninfo asks for none.
    """
    if connection.info.parameter_status("server_encoding") == "SQL_ASCII":
        raise SchemaError(f"database {connection.info.dbname} {NO_ENCODING}")
    if connection.info.encoding == "ascii":
        raise ConfigurationError("client_encoding is SQL_ASCII: leave it out of the conninfo, or say utf8")
    return connection
