"""What is examined: a table, seen over one connection."""

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from psycopg import Connection, Cursor
from psycopg.rows import dict_row

from ..errors import SchemaError
from ..event import CALLER_FIELDS, WRITER_FIELDS
from ..sql import template
from ..steps import Step
from ..table_comment import read_step, read_version
from ..table_names import retained_name


@dataclass(frozen=True)
class Subject:
    """A table and the role whose privileges count."""

    connection: Connection[Any]
    table: str
    """As it was asked for."""
    columns: Mapping[str, str]
    """Our field to the column that it has there."""
    writer: str
    """The role whose privileges count."""
    is_writer: bool
    """Whether that role is said to be the one that writes; else it is only the one that connects."""
    path: str
    """The search path of the connection, as it was set."""
    oid: int
    kind: str
    schema: str
    """Its schema's name, not quoted."""
    name: str
    """With its schema, quoted as SQL wants it."""
    bare_name: str
    """Neither with its schema nor quoted."""
    owner: str
    comment: str | None
    existing_columns: frozenset[str] = field(default_factory=frozenset)

    @property
    def version(self) -> int | None:
        """The schema that the table's comment tells; None for another program's table."""
        # Whoever puts a view in the place of the table has its functions called by who reads it.
        return read_version(self.comment) if self.kind in ("p", "r") else None

    @property
    def step(self) -> Step:
        """How long its partitions are."""
        return read_step(self.comment)

    @property
    def is_ours(self) -> bool:
        """Whether init made it."""
        return self.version is not None

    @property
    def place(self) -> str:
        """The table, wherever the search path leads."""
        return f"{self.schema}.{self.bare_name}"

    @property
    def retained(self) -> str:
        """The name of the table that tells what retention dropped, in the same schema."""
        return retained_name(self.bare_name)

    def command(self, name: str) -> str:
        """Return the command *name* for this table, to copy."""
        return shlex.join(["pglog-audit", name, *([] if self.table == "audit_log" else ["--table", self.table])])

    def maintain(self) -> str:
        """Return who shall run what to put the table in order."""
        return f"As {self.owner}: {self.command('maintain')}"

    def column(self, name: str) -> str:
        """Return the column of the field *name*."""
        return self.columns.get(name, name)

    def fields_without_column(self) -> list[str]:
        """Return the fields of a log call that the table has no column for."""
        return sorted(name for name in CALLER_FIELDS if self.column(name) not in self.existing_columns)

    def written_columns(self) -> list[str]:
        """Return the columns of our fields, which is what the writer fills in another program's table."""
        fields = (CALLER_FIELDS | WRITER_FIELDS) - {"id", "recorded_at"}
        return sorted(self.existing_columns & {self.column(name) for name in fields})

    def role(self) -> dict[str, Any] | None:
        """Return what the writer may do with the table; None if there is no such role."""
        return self.role_named(self.writer)

    def role_named(self, name: str) -> dict[str, Any] | None:
        """Return what the role *name* may do with the table; None if there is no such role."""
        columns = None if self.is_ours else self.written_columns()
        rows = self.ask("doctor_role", role=name, columns=columns)
        return rows[0] if rows else None

    def ask(self, file: str, /, **parameters: Any) -> list[dict[str, Any]]:
        """Return the rows of ``<file>.sql`` for this table."""
        return ask(self.connection, file, table=self.oid, **parameters)

    def ask_of_bounds(self, file: str, /, **parameters: Any) -> list[dict[str, Any]]:
        """Return the same of a file that reads partitions' bounds, which only ISO dates spell without a zone's name."""
        with self.connection.transaction():
            # Before 18 an abbreviation such as IST is not the session's own zone, but that of a list.
            self.connection.execute(template("read_only"))
            return self.ask(file, **parameters)


def find_subject(
    connection: Connection[Any], table: str, columns: Mapping[str, str], writer: str | None, *, is_writer: bool
) -> Subject:
    """
    Return the table that the writer would find.

    :param writer: the role that writes; by default the one that connects.
    :param is_writer: the one that connects is known to write.
    :raises SchemaError: there is none.
    """
    schema, _, name = table.rpartition(".")
    [searched] = ask(connection, "doctor_schemas")
    with own_names(connection):
        schemas = [schema] if schema else searched["schemas"]
        found = [row for each in schemas for row in ask(connection, "find_table", schema=each, name=name)]
        if not found:
            raise SchemaError(_missing(connection, table, name))
        [row] = ask(connection, "doctor_table", schema=found[0]["nspname"], name=found[0]["relname"])
    existing = frozenset(row.pop("columns"))
    role = writer if writer is not None else connection.info.user
    is_writer = is_writer or writer is not None
    return Subject(connection, table, columns, role, is_writer, searched["path"], **row, existing_columns=existing)


def _missing(connection: Connection[Any], table: str, name: str) -> str:
    text = f"no table {table} in database {connection.info.dbname} that {connection.info.user} finds"
    elsewhere = ", ".join(row["nspname"] for row in ask(connection, "find_elsewhere", name=name))
    return f"{text}, but one in schema {elsewhere}" if elsewhere else text


@contextmanager
def own_names(connection: Connection[Any], *, writing: bool = False) -> Iterator[None]:
    """
    Let no function be found but PostgreSQL's own: a schema of the path may be one where others make functions.

    :param writing: as the writer does, whatever default_transaction_read_only says.
    """
    with connection.transaction():
        if writing and connection.info.parameter_status("in_hot_standby") != "on":
            connection.execute(template("read_write"))
        connection.execute(template("set_path"), {"path": "pg_catalog, pg_temp"})
        yield


def ask(connection: Connection[Any], file: str, /, **parameters: Any) -> list[dict[str, Any]]:
    """Return the rows of ``<file>.sql``."""
    cursor = Cursor(connection, row_factory=dict_row)
    return cursor.execute(template(file), parameters).fetchall()
