"""Who holds the locks that setup and upkeep wait for."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from psycopg import Connection, Cursor, errors, sql
from psycopg.rows import class_row

from .reading import find_table
from .sql import template


@dataclass(frozen=True, slots=True)
class _Holder:
    pid: int | None
    gid: str | None
    """Of a prepared transaction, which has no process."""
    role: str

    def __str__(self) -> str:
        what = f"process {self.pid}" if self.gid is None else f"the prepared transaction {self._gid}"
        return f"{what} of role {self.role}"

    @property
    def _gid(self) -> str:
        return sql.Literal(self.gid).as_string()

    @property
    def end(self) -> str:
        """Say what ends it."""
        if self.gid is None:
            return f"end that session with SELECT pg_terminate_backend({self.pid})"
        return f"end it with ROLLBACK PREPARED {self._gid} or COMMIT PREPARED {self._gid}"


@dataclass(slots=True)
class Waiting:
    """What a block waits for."""

    of_setups: bool = False
    """The lock of setups, and no table."""


@contextmanager
def telling_holders(connection: Connection[Any], table: str) -> Iterator[Waiting]:
    """
    Say who holds *table*, ``name`` or ``schema.name``, where what is done in the block gives up waiting for a lock.

    :raises psycopg.errors.LockNotAvailable: with what the server said as its cause.
    """
    waiting = Waiting()
    try:
        yield waiting
    except (errors.LockNotAvailable, errors.DeadlockDetected) as error:
        holders = _find(connection, table, of_setups=waiting.of_setups)
        raise errors.LockNotAvailable(f"{table} is locked, {_describe(holders)}") from error


def _find(connection: Connection[Any], table: str, *, of_setups: bool) -> list[_Holder]:
    with connection.transaction():
        schema, name = find_table(connection, table) or (None, None)
        cursor = Cursor(connection, row_factory=class_row(_Holder))
        asked = {"schema": schema, "name": name, "of_setups": of_setups}
        return cursor.execute(template("lock_holders"), asked).fetchall()


def _describe(holders: list[_Holder]) -> str:
    if not holders:
        return "by a session that has ended since: run it again"
    return f"by {' and '.join(map(str, holders))}: run it again later, or {holders[0].end}"
