"""The roles of an audit table: who owns it, writes, reads and maintains it, and what they may do with it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from psycopg import Connection, Cursor, sql
from psycopg.rows import class_row

from . import table_names
from .errors import ConfigurationError, SchemaError
from .sql import template


@dataclass(frozen=True, slots=True)
class Roles:
    """The roles that init is given; None for each that is not."""

    owner: str | None = None
    writer: str | None = None
    reader: str | None = None
    operator: str | None = None

    def check(self, *, existing: bool) -> None:
        """
        Check what needs no server.

        :raises ConfigurationError: a name is none, or one role cannot be both.
        """
        for option in ("owner", "writer", "reader", "operator"):
            _check_name(option, getattr(self, option))
        if existing and (self.owner or self.operator):
            raise ConfigurationError("an existing table keeps its owner: leave owner and operator out")
        for powerful, bound in product(("owner", "operator"), ("writer", "reader")):
            if (name := getattr(self, powerful)) is not None and name == getattr(self, bound):
                raise ConfigurationError(
                    f"{powerful} and {bound} are both {name}, and no grant binds who acts as the owner: name two roles"
                )

    def bound(self) -> Iterator[tuple[str, str]]:
        """Return the roles that are given and that grants shall bind, each after its option."""
        for option, name in (("writer", self.writer), ("reader", self.reader)):
            if name is not None:
                yield option, name


@dataclass(frozen=True, slots=True)
class Role:
    """What a role may do with a table."""

    bound: bool
    """Whether grants bind it."""
    may_drop: bool
    """Whether it owns the schema, and so may drop the table."""
    privileges: Sequence[str]


def describe_role(connection: Connection[Any], name: str, table: sql.Identifier, owner: int) -> Role | None:
    """Return what the role *name* may do with *table* of *owner*; None if there is no such role."""
    cursor = Cursor(connection, row_factory=class_row(Role))
    asked = {"role": name, "owner": owner, "table": table.as_string()}
    return cursor.execute(template("describe_role"), asked).fetchone()


def require_roles(connection: Connection[Any], roles: Roles) -> None:
    """
    Check that the roles exist that somebody logs in with.

    :raises SchemaError: one does not.
    """
    for name in filter(None, (roles.writer, roles.reader, roles.operator)):
        # Not connection.execute(): the caller's connection may have other placeholders than ours.
        if Cursor(connection).execute(template("find_role"), {"role": name}).fetchone() is None:
            statement = f"CREATE ROLE {sql.Identifier(name).as_string()} LOGIN PASSWORD '…'"
            raise SchemaError(f"there is no role {name}: run {statement}, then init again")


def _check_name(option: str, role: str | None) -> None:
    if role is not None and not (role and role.isprintable() and len(role.encode()) <= table_names.MAX_BYTES):
        raise ConfigurationError(
            f"{option} is {role!r}: name a role, in 1 to {table_names.MAX_BYTES} bytes without control characters"
        )
