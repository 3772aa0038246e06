"""The triggers that refuse changes, and the statements that restore them."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from psycopg import Connection, Cursor, sql
from psycopg.rows import class_row

from . import table_names
from .sql import template

_FUNCTION = re.compile(r"CREATE OR REPLACE FUNCTION \{guard\}.*?\$guard\$(.*?)\$guard\$;", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Guard:
    """A trigger, and what is wrong with it."""

    relation: str
    is_partition: bool
    guard: str
    fault: str | None


@dataclass(frozen=True, slots=True)
class GuardFunction:
    """The function that the triggers call."""

    name: str
    """With its schema, quoted as SQL wants it."""
    is_whole: bool
    """Whether it is there, as init makes it."""


def find_guards(connection: Connection[Any], table: int, name: str) -> list[Guard]:
    """
    Return the two triggers of *table* and of each partition, as they must be or with their fault.

    So are those of what retention has told of it; *name* is the table's, without its schema.
    """
    cursor = Cursor(connection, row_factory=class_row(Guard))
    asked = {"table": table, "retained": table_names.retained_name(name), "body": _function()[1]}
    return cursor.execute(template("guard_faults"), asked).fetchall()


def find_function(connection: Connection[Any], table: int, name: str) -> GuardFunction:
    """Return the function that the triggers of *table* shall call, whose *name* has no schema."""
    cursor = Cursor(connection, row_factory=class_row(GuardFunction))
    asked = {"table": table, "body": _function()[1], "name": table_names.guard_name(name)}
    [found] = cursor.execute(template("guard_function"), asked).fetchall()
    return found


def restore(function: GuardFunction, faults: Iterable[Guard]) -> Iterator[sql.Composed]:
    """Give what mends *faults*; a change of the table's row trigger reaches the partitions by itself."""
    if not function.is_whole:
        yield sql.SQL(_function()[0]).format(guard=sql.SQL(function.name))
    faults = list(faults)
    from_table = {each.fault for each in faults if each.guard == "refuse_change" and not each.is_partition}
    for each in faults:
        relation = sql.SQL(each.relation)
        if each.guard == "refuse_change" and each.is_partition and each.fault in from_table:
            continue
        if each.fault == "is not ENABLE ALWAYS":
            yield template("guard_enable").format(relation=relation, guard=sql.SQL(each.guard))
        elif each.fault == "is missing":
            yield make(function, relation, each.guard)
        elif function.is_whole:
            yield template("guard_drop").format(relation=relation, guard=sql.SQL(each.guard))
            yield make(function, relation, each.guard)


def make(function: GuardFunction, relation: sql.Composable, guard: str) -> sql.Composed:
    """Return what makes the trigger *guard* on *relation*."""
    names = {"relation": relation, "function": sql.SQL(function.name), "guard": sql.SQL(guard)}
    return sql.SQL("\n").join(template(f"guard_{file}").format(**names) for file in (guard, "enable"))


def _function() -> tuple[str, str]:
    """Return the statement of the migration that makes the function, and the function's body."""
    match = _FUNCTION.search(template("migrations/0001_audit_log").as_string())
    if match is None:
        raise LookupError("migrations/0001_audit_log.sql makes no function with a body between $guard$ and $guard$")
    return match[0], match[1]
