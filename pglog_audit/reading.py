"""A transaction that reads: it changes nothing, and no value is beyond it."""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any, TypeAlias

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.rows import tuple_row
from psycopg.types.datetime import (
    DateLoader,
    IntervalLoader,
    TimeLoader,
    TimestampLoader,
    TimestamptzLoader,
    TimetzLoader,
)
from psycopg.types.json import JsonLoader

from .sql import template

MAX_DEPTH = 200
"""Levels of the deepest JSON that is read as more than text; what we write has half of them."""

Reader: TypeAlias = psycopg.Cursor[tuple[Any, ...]]


@contextmanager
def reading(connection: psycopg.Connection[Any]) -> Iterator[Reader]:
    """
    Read over *connection* in a transaction of its own.

    What Python has no value for, such as the time ``infinity`` or JSON of a thousand levels, comes as the server's
    text; a number in JSON that is beyond int or float as a :class:`decimal.Decimal`.
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


class _FiniteIntervalLoader(IntervalLoader):
    def load(self, data: Buffer) -> timedelta:
        if b"infinity" in bytes(data):
            raise psycopg.DataError("psycopg would take it for no time at all")
        return super().load(data)


class _WholeJsonLoader(JsonLoader):
    """JSON whose numbers keep their size, up to a depth at which all that follows can walk it."""

    def load(self, data: Buffer) -> Any:
        text = bytes(data)
        value = json.loads(text, parse_int=_integer, parse_float=_float)
        # Brackets in texts count as well: then the value tells.
        if text.count(b"[") + text.count(b"{") > MAX_DEPTH and is_deep(value):
            raise psycopg.DataError("JSON with too many levels")
        return value


def _integer(digits: str) -> int | Decimal:
    try:
        return int(digits)
    except ValueError:  # sys.set_int_max_str_digits
        return Decimal(digits)


def _float(digits: str) -> float | Decimal:
    number = float(digits)
    return number if math.isfinite(number) else Decimal(digits)


def is_deep(value: Any) -> bool:
    """Tell whether JSON *value* has more levels than all that follows can walk."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [
            part
            for each in level
            if isinstance(each, dict | list)
            for part in (each.values() if isinstance(each, dict) else each)
        ]
    return bool(level)


def _lenient(loader: type[Loader]) -> type[Loader]:
    def load(self: Loader, data: Buffer) -> Any:
        # One row that is beyond Python, such as infinity in a column, must not hide all the others.
        try:
            return loader.load(self, data)
        except Exception:  # noqa: BLE001 - loaders fail in their own ways, and the text is true in any case
            return bytes(data).decode()

    return type(f"Lenient{loader.__name__}", (loader,), {"load": load})


_LOADERS = {
    "date": _lenient(DateLoader),
    "interval": _lenient(_FiniteIntervalLoader),
    "json": _lenient(_WholeJsonLoader),
    "jsonb": _lenient(_WholeJsonLoader),
    "time": _lenient(TimeLoader),
    "timetz": _lenient(TimetzLoader),
    "timestamp": _lenient(TimestampLoader),
    "timestamptz": _lenient(TimestamptzLoader),
}
