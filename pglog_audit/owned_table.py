"""The audit table in its owner's hands: one short change at a time, while writers write."""

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeAlias, TypeVar

from psycopg import Connection, Cursor, errors, sql
from psycopg.pq import TransactionStatus
from psycopg.rows import DictRow, class_row, dict_row

from . import ddl, table_names
from .audit_table import AuditTable, describe, require_retained, require_version
from .dependents import Dependent, find_dependents
from .errors import ConfigurationError, SchemaError
from .guards import find_function, make
from .lock_holders import telling_holders
from .reading import find_table
from .setup_commands import make_command
from .sql import template, with_parameters

T = TypeVar("T")
Changing: TypeAlias = Cursor[DictRow]

# A lock that is not there after a second is left to the writers that queue behind us. In all about a minute.
_PAUSES = (0.1, 0.2, 0.5, *[1.0] * 25)
_OPERATOR = "an operator (pglog-audit init --operator ROLE makes one)"
_BUSY = (errors.LockNotAvailable, errors.DeadlockDetected)


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition, and the times of its rows; None where a bound is not finite."""

    schema: str
    name: str
    is_default: bool
    begins: datetime | None = None
    ends: datetime | None = None

    @property
    def identifier(self) -> sql.Identifier:
        """The partition, with its schema."""
        return sql.Identifier(self.schema, self.name)


@dataclass(frozen=True, slots=True)
class ForeignPart:
    """What belongs to the table, and not to its owner."""

    name: str
    is_partition: bool
    """Whether it is a partition other than the default one: what else there is can be done without it."""
    owner: str
    statement: str
    """What gives it to the table's owner."""


class OwnedTable:
    """
    The table, changed as the role that owns it: by it or its members, not by a superuser on a table of another's.

    Each change is a transaction of its own.

    :param any_version: also a schema that is too old to work with.
    :raises ConfigurationError: the connection is in a transaction, which would hold every lock to its end.
    :raises SchemaError: there is no such table of ours, or the role may not change it; the message says what to run.
    """

    def __init__(self, connection: Connection[Any], table: str, *, any_version: bool = False) -> None:
        self._connection = connection
        if connection.info.transaction_status != TransactionStatus.IDLE:
            raise ConfigurationError("the connection is in a transaction: commit it, or pass another connection")
        with connection.transaction():
            found = self._find(table)
            if found.version is None or not any_version:
                require_version(found)
            self.role = self._require_ownership(found)
            """The owner, as which everything is done."""
        self.found: AuditTable = found
        """What the catalog says."""

    def _find(self, table: str) -> AuditTable:
        place = find_table(self._connection, table)
        found = describe(self._connection, ".".join(place)) if place else None
        if found is None:
            raise SchemaError(f"there is no table {table}: run {make_command(table)}, or give another --table")
        return found

    def _require_ownership(self, found: AuditTable) -> str:
        """Return the owner."""
        cursor = Cursor(self._connection, row_factory=dict_row)
        [row] = cursor.execute(template("ownership"), {"table": found.oid}).fetchall()
        owner, role = (sql.Identifier(row[name]).as_string() for name in ("owner", "role"))
        if not row["is_member"]:
            grant = f"run GRANT {owner} TO {role}" if row["may_grant"] else f"as {owner}"
            raise SchemaError(
                f"{role} neither owns {found.name} nor is a member of {owner}, which does: connect as {_OPERATOR}, or "
                f"{grant}"
            )
        if not row["may_create"]:
            schema = sql.Identifier(found.schema).as_string()
            raise SchemaError(
                f"{owner}, which owns {found.name}, may make no tables beside it: run GRANT CREATE ON SCHEMA {schema} "
                f"TO {owner}"
            )
        if row["is_superuser"] and not row["is_owner_superuser"]:
            # To become the owner would not do: the owner's code could end that.
            raise SchemaError(
                f"{role} is a superuser, and {owner}, which owns {found.name}, is none: a trigger, constraint or index "
                f"of the owner's would run with all rights; connect as {_OPERATOR}, or as {owner}"
            )
        return str(row["owner"])

    def foreign_parts(self) -> list[ForeignPart]:
        """Return what the owner may not change, since it belongs to another role."""
        asked = {"table": self.found.oid, "retained": table_names.retained_name(self.found.table)}

        def ask(cursor: Changing) -> list[ForeignPart]:
            reader = Cursor(cursor.connection, row_factory=class_row(ForeignPart))
            return reader.execute(template("foreign_parts"), asked).fetchall()

        return self.change(ask)

    def describe(self, foreign: Sequence[ForeignPart]) -> str:
        """Say whose *foreign* parts are, and what to run."""
        owner = sql.Identifier(self.role).as_string()
        whose = f"{foreign[0].name} belongs to {foreign[0].owner}, and {self.found.name} to {owner}"
        more = f"; and {len(foreign) - 3} more like it" if len(foreign) > 3 else ""
        statements = "; ".join(part.statement for part in foreign[:3])
        return f"{whose}: as a superuser run pglog-audit init --owner {owner}, or {statements}{more}"

    def require_parts(self, *, but_partitions: bool = False) -> list[ForeignPart]:
        """
        Check that all that there shall be is there and the owner's, and return what is not.

        :param but_partitions: let partitions be another role's, which keeps nobody from making new ones.
        :raises SchemaError: something is missing or another role's; the message says what to run.
        """
        foreign = self.foreign_parts()
        if not all(part.is_partition and but_partitions for part in foreign):
            raise SchemaError(self.describe(foreign))
        if (self.found.version or 0) > 1:
            self.change(lambda cursor: require_retained(cursor.connection, self.found))
        return foreign

    def change(self, work: Callable[[Changing], T]) -> T:
        """
        Return what *work* returns, done in one transaction; again where a lock was not free, for about a minute.

        :raises psycopg.errors.LockNotAvailable: somebody held the table all the time; the message says who.
        """
        for pause in _PAUSES:
            try:
                return self._change(work)
            except _BUSY:
                time.sleep(pause)
        with telling_holders(self._connection, f"{self.found.schema}.{self.found.table}"):
            return self._change(work)

    def _change(self, work: Callable[[Changing], T]) -> T:
        with self._connection.transaction():
            cursor = Cursor(self._connection, row_factory=dict_row)
            cursor.execute(template("read_committed"))
            # A schema of the path may be one where others make functions, which the owner must not call.
            cursor.execute(template("qualify_names"))
            cursor.execute(template("begin_change").format(table=sql.Literal(self.found.name)))
            cursor.execute(template("become").format(role=sql.Identifier(self.role)))
            cursor.execute(template("lock_table"))
            return work(cursor)

    def partitions(self, cursor: Changing) -> list[Partition]:
        """Return the partitions, the oldest first, within a change."""
        reader = Cursor(cursor.connection, row_factory=class_row(Partition))
        return reader.execute(template("partitions"), {"table": self.found.oid}).fetchall()

    def make_partition(self, cursor: Changing, partition: Partition) -> None:
        """Make *partition*, guarded and granted to nobody, within a change."""
        self.make_table(cursor, partition)
        self.attach(cursor, partition)

    def make_table(self, cursor: Changing, partition: Partition) -> None:
        """Make what :meth:`attach` can make a partition of, within the same change."""
        names = {"table": self.found.identifier, "partition": partition.identifier}
        cursor.execute(template("make_partition").format(**names))

    def attach(self, cursor: Changing, partition: Partition) -> None:
        """Make a partition of a table that was made within this change."""
        bounds: sql.Composable = sql.SQL("DEFAULT")
        if not partition.is_default:
            times = {name: sql.Literal(str(getattr(partition, name))) for name in ("begins", "ends")}
            bounds = template("partition_bounds").format(**times)
        function = find_function(self._connection, self.found.oid, self.found.table)
        cursor.execute(
            template("attach_partition").format(
                table=self.found.identifier,
                partition=partition.identifier,
                bounds=bounds,
                guards=make(function, partition.identifier, "refuse_truncate"),
                revoke_given=ddl.revoke_given(partition.identifier),
            )
        )

    @property
    def default_name(self) -> str:
        """What the default partition is called when it is made."""
        return f"{table_names.name_prefix(self.found.table)}_default"

    def make_default(self, cursor: Changing) -> None:
        """Make the default partition, within a change."""
        self.make_partition(cursor, Partition(self.found.schema, self.default_name, is_default=True))

    def take_default(self, cursor: Changing) -> tuple[Partition, Partition, tuple[Dependent, ...]]:
        """Detach the default partition, within a change; return it, a table of its name, and what depends on it."""
        [default] = [each for each in self.partitions(cursor) if each.is_default]
        # A name that nobody could take before; until the change ends nobody else sees it.
        old = replace(default, name=f"{table_names.name_prefix(self.found.table)}_{secrets.token_hex(4)}")
        self.detach(cursor, default)
        dependents = find_dependents(cursor.connection, default.identifier)
        cursor.execute(template("rename_table").format(table=default.identifier, name=sql.Identifier(old.name)))
        self.make_table(cursor, default)
        return old, default, dependents

    def detach(self, cursor: Changing, partition: Partition) -> None:
        """Take *partition* from the table, within a change; it stays as a table of its own."""
        # Not CONCURRENTLY: PostgreSQL refuses that where there is a default partition.
        cursor.execute(template("detach_partition").format(table=self.found.identifier, partition=partition.identifier))

    def move(
        self,
        cursor: Changing,
        old: Partition,
        partition: Partition,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> int:
        """
        Insert the rows of *old*, of *since* and later, before *until*, into the table *partition*; return how many.

        Before it is attached: no trigger and no rule of the audit table has a say, and no subscriber gets them again.
        """
        columns = with_parameters(self.columns(cursor))
        names = {"partition": with_parameters(partition.identifier), "old": with_parameters(old.identifier)}
        statement = template("move_rows").format(**names, columns=columns)
        return cursor.execute(statement, {"since": since, "until": until}).rowcount

    def drop(self, cursor: Changing, relation: sql.Identifier, *, cascade: bool) -> None:
        """
        Drop what is no partition any more, within a change.

        :raises psycopg.errors.DependentObjectsStillExist: something depends on it, and *cascade* is false.
        """
        how = sql.SQL("CASCADE" if cascade else "RESTRICT")
        cursor.execute(template("drop_table").format(table=relation, cascade=how))

    def columns(self, cursor: Changing) -> sql.Composed:
        """Return the columns that hold what was inserted, within a change."""
        rows = cursor.execute(template("columns_to_move"), {"table": self.found.oid}).fetchall()
        return sql.SQL(", ").join(sql.Identifier(row["name"]) for row in rows)

    def count(
        self, cursor: Changing, partition: sql.Identifier, since: datetime | None = None, until: datetime | None = None
    ) -> int:
        """Return how many rows *partition* has of *since* and later, before *until*."""
        statement = template("count_rows").format(partition=with_parameters(partition))
        cursor.execute(statement, {"since": since, "until": until})
        [row] = cursor.fetchall()
        return int(row["count"])
