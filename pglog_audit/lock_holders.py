"""Who holds the locks that setup and upkeep wait for."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from psycopg import Connection, Cursor, errors
from psycopg.rows import tuple_row

from .reading import find_table
from .sql import template


@contextmanager
def telling_holders(connection: Connection[Any], table: str) -> Iterator[None]:
    """
    Say who holds *table*, ``name`` or ``schema.name``, where what is done in the block gives up waiting for a lock.

    :raises psycopg.errors.LockNotAvailable: with what the server said as its cause.
    """
    try:
        yield
    except (errors.LockNotAvailable, errors.DeadlockDetected) as error:
        raise errors.LockNotAvailable(f"{table} is locked, {_describe(_find(connection, table))}") from error


def _find(connection: Connection[Any], table: str) -> list[tuple[int, str]]:
    with connection.transaction():
        schema, name = find_table(connection, table) or (None, None)
        cursor = Cursor(connection, row_factory=tuple_row)
        return cursor.execute(template("lock_holders"), {"schema": schema, "name": name}).fetchall()


def _describe(holders: list[tuple[int, str]]) -> str:
    if not holders:
        return "by a session that has ended since: run it again"
    who = " and ".join(f"process {pid} of role {role}" for pid, role in holders)
    return f"by {who}: run it again later, or end that session with SELECT pg_terminate_backend({holders[0][0]})"
