"""A transaction that reads: it changes nothing, and no time is beyond it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.rows import tuple_row
from psycopg.types.datetime import DateLoader, TimestampLoader, TimestamptzLoader

from .sql import template

Reader: TypeAlias = psycopg.Cursor[tuple[Any, ...]]


@contextmanager
def reading(connection: psycopg.Connection[Any]) -> Iterator[Reader]:
    """
    Read over *connection* in a transaction of its own.

    A time beyond Python's calendar, such as ``infinity``, comes as the server's text.
    """
    with connection.transaction():
        # Not connection.cursor(): a pool's connections may have other placeholders and rows than ours.
        reader = psycopg.Cursor(connection, row_factory=tuple_row)
        for name, loader in _LOADERS.items():
            reader.adapters.register_loader(name, loader)
        yield reader.execute(template("read_only"), prepare=False)


def find_table(connection: psycopg.Connection[Any], table: str) -> tuple[str, str] | None:
    """
    Return schema and name of *table*, ``name`` or ``schema.name``, as the search path has it; None if there is none.

    For the rest of the transaction a name without a schema is PostgreSQL's own: a schema of the path may be one where
    others make functions, operators and types, which this connection must not call.
    """
    schema, _, name = table.rpartition(".")
    cursor = psycopg.Cursor(connection, row_factory=tuple_row)
    found = cursor.execute(template("find_table"), {"schema": schema or None, "name": name}, prepare=False).fetchone()
    cursor.execute(template("qualify_names"), prepare=False)
    return found and (found[0], found[1])


def _lenient(loader: type[Loader]) -> type[Loader]:
    def load(self: Loader, data: Buffer) -> Any:
        # One row with infinity in a column must not hide all the others.
        try:
            return loader.load(self, data)
        except psycopg.DataError:
            return bytes(data).decode()

    return type(f"Lenient{loader.__name__}", (loader,), {"load": load})


_LOADERS = {
    "date": _lenient(DateLoader),
    "timestamp": _lenient(TimestampLoader),
    "timestamptz": _lenient(TimestamptzLoader),
}
