"""The audit table, as the catalog describes it to its owner."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import Connection, Cursor, sql
from psycopg.rows import class_row, scalar_row
from psycopg.types.json import JsonbLoader

from . import ddl, table_names
from .errors import SchemaError
from .sql import identifier, template
from .steps import Step
from .table_comment import read_step, read_version


@dataclass(frozen=True, slots=True)
class AuditTable:
    """A table as it is."""

    oid: int
    schema: str
    table: str
    name: str
    """With its schema, quoted as SQL wants it."""
    owner: int
    comment: str | None
    rls: bool
    """Whether a reader sees one tenant."""
    columns: Mapping[str, str]
    takes_action: bool

    @property
    def identifier(self) -> sql.Identifier:
        """The table, with its schema."""
        return sql.Identifier(self.schema, self.table)

    @property
    def retained(self) -> sql.Identifier:
        """The table of what retention dropped of it, from schema 2 on."""
        return self.beside(table_names.retained_name(self.table))

    def beside(self, name: str) -> sql.Identifier:
        """Return *name* in the table's schema."""
        return sql.Identifier(self.schema, name)

    @property
    def version(self) -> int | None:
        """The schema that its comment tells; None for another program's table."""
        return read_version(self.comment)

    @property
    def step(self) -> Step:
        """How long its partitions are."""
        return read_step(self.comment)


def describe(connection: Connection[Any], table: str) -> AuditTable | None:
    """Return what the catalog says about *table*, ``name`` or ``schema.name``; None if there is no such table."""
    # Not connection.cursor(): the caller's connection may have other placeholders than ours; and Django's gives JSON as
    # text.
    cursor = Cursor(connection, row_factory=class_row(AuditTable))
    cursor.adapters.register_loader("jsonb", JsonbLoader)
    return cursor.execute(template("describe_table"), {"table": identifier(table).as_string()}).fetchone()


def require_version(found: AuditTable) -> int:
    """
    Return the schema of *found*; one version more or less than this package's does not keep it from working.

    :raises SchemaError: it is another program's table, or too far from here.
    """
    if found.version is None:
        raise SchemaError(
            f"{found.name} was not made by pglog_audit: use it as it is with --existing, or give another --table"
        )
    if found.version > ddl.VERSION + 1:
        raise SchemaError(f"{found.name} has schema {found.version}, newer than {ddl.VERSION}: upgrade pglog-audit")
    if found.version < ddl.VERSION - 1:
        raise SchemaError(f"{found.name} has schema {found.version}, older than {ddl.VERSION}: run pglog-audit upgrade")
    return found.version


def find_taken(connection: Connection[Any], schema: str, names: Sequence[str]) -> list[str]:
    """Return which of *names* relations of *schema* have."""
    cursor = Cursor(connection, row_factory=scalar_row)
    return cursor.execute(template("names_taken"), {"schema": schema, "names": names}).fetchall()


def has_retained(connection: Connection[Any], found: AuditTable) -> bool:
    """Tell whether *found* still has the table of what retention dropped of it."""
    return bool(find_taken(connection, found.schema, [table_names.retained_name(found.table)]))


def require_retained(connection: Connection[Any], found: AuditTable) -> None:
    """
    Check that *found* has what its schema, from 2 on, has beside it.

    :raises SchemaError: somebody dropped it.
    """
    if not has_retained(connection, found):
        raise SchemaError(
            f"there is no {found.retained.as_string()}, which says what retention has dropped of {found.name}: run "
            "pglog-audit upgrade, which makes it again, empty"
        )
