"""The connection of the commands that change the table, and what to do about what keeps them from it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.rows import scalar_row

from ..connections import in_utf8, require_encoding
from ..errors import SchemaError, UnreachableError
from ..sql import template
from ..verdict import READ_ONLY


@contextmanager
def owner_connection(conninfo: str, table: str, *, autocommit: bool = True) -> Iterator[psycopg.Connection[Any]]:
    """
    Connect, by default for steps that are transactions of their own; nothing is prepared, for the sake of poolers.

    :raises UnreachableError: somebody holds *table*; the message says who.
    :raises SchemaError: the transactions of this server or session can change nothing.
    """
    with psycopg.connect(in_utf8(conninfo), autocommit=autocommit, prepare_threshold=None) as connection:
        try:
            yield require_encoding(connection)
        except psycopg.errors.LockNotAvailable:
            connection.rollback()
            raise UnreachableError(f"lock timeout: {_who(table, _holders(connection, table))}") from None
        except psycopg.errors.ReadOnlySqlTransaction as error:
            raise SchemaError(f"the database refused: {error.diag.message_primary}. {READ_ONLY}") from None


def _holders(connection: psycopg.Connection[Any], table: str) -> list[int]:
    schema, _, name = table.rpartition(".")
    cursor = psycopg.Cursor(connection, row_factory=scalar_row)
    return cursor.execute(template("lock_holders"), {"schema": schema or None, "name": name}).fetchall()


def _who(table: str, holders: Sequence[int]) -> str:
    if not holders:
        return f"somebody held {table}, and does so no more: run this again"
    first, *more = holders
    others = f", and {len(more)} more have locks" if more else ""
    return (
        f"process {first} holds {table}{others}: run this again after its transaction; pg_stat_activity tells who it "
        "is, and pg_terminate_backend ends it"
    )
