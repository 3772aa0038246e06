"""What others have made of a table, so that PostgreSQL does not drop it without."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import Connection, Cursor, sql
from psycopg.rows import class_row

from .sql import template

WHAT_NOW = "Drop that, or run this again with --cascade, which does so"
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Dependent:
    """An object that is dropped with a table, or keeps it from being dropped."""

    name: str
    """With its kind and schema: ``view public.v``."""
    owner: str

    def __str__(self) -> str:
        return f"{self.name} of role {self.owner}"


def find_dependents(connection: Connection[Any], relation: sql.Identifier) -> tuple[Dependent, ...]:
    """Return what depends on *relation*, which nobody needs a privilege for, and is no part of it."""
    cursor = Cursor(connection, row_factory=class_row(Dependent))
    return tuple(cursor.execute(template("dependents"), {"relation": relation.as_string()}).fetchall())


def tell_dependents(name: str, dependents: Sequence[Dependent]) -> str:
    """Say why the table *name* stays."""
    shown = ", ".join(map(str, dependents[:_SHOWN])) or "what is gone by now"
    more = f" and {len(dependents) - _SHOWN:,} more" if len(dependents) > _SHOWN else ""
    return f"{name} stays: {shown}{more} {'depend' if len(dependents) > 1 else 'depends'} on it"
