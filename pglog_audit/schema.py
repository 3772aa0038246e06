"""The audit table's life: what makes it, and who may write to it."""

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from psycopg import Connection, Cursor, sql
from psycopg.rows import class_row, scalar_row

from .errors import ConfigurationError, SchemaError
from .event import EVENT_FIELDS, ID_FIELDS
from .sql import check_table, identifier, template

VERSION = 1
"""The schema that this package makes; the table's comment says which one a table has."""

_MIGRATIONS = ("0001_audit_log",)
_INDEXES = (
    "newest",
    *(f"by_{what}" for what in ("event", "user", "target", "entity", "action", "tenant", "request", "outcome")),
)
_COMMENT = re.compile(r"pglog_audit schema (\d+)\b")
_ID_TYPES = {
    "uuid": sql.SQL("uuid"),
    "bigint": sql.SQL("bigint"),
    "integer": sql.SQL("integer"),
    "text": sql.SQL("text"),
}
_DEFAULT_ID_TYPES: Mapping[str, str] = MappingProxyType({})
_LONGEST_SUFFIX = len("_append_only")
_MAX_BYTES = 63


@dataclass(frozen=True, slots=True)
class InitResult:
    """What :func:`init` found and did."""

    table: str
    """The table's name with its schema, quoted as SQL wants it."""
    created: bool
    """Whether it was made now."""
    writer: str | None
    """The role that may now insert."""
    missing: tuple[str, ...] = ()
    """The fields of an event that have no column there: the handler leaves them out."""


def init(
    connection: Connection[Any],
    *,
    table: str = "audit_log",
    writer: str | None = None,
    id_types: Mapping[str, str] = _DEFAULT_ID_TYPES,
    existing: bool = False,
) -> InitResult:
    """
    Make the audit table unless it is there, and let *writer* insert into it; all of it or nothing.

    A second call changes nothing; one with a *writer* grants what that role lacks, on columns added since then too.
    Concurrent calls wait for each other. Inside a transaction of the caller's, the caller commits.

    :param connection: of the role that shall own the table, or that owns it; superuser or not.
    :param table: ``name`` or ``schema.name``, as the catalog spells it; the schema must exist.
    :param writer: the role of the application: gets INSERT on all columns but ``recorded_at``, and nothing else.
    :param id_types: types of id columns that are not uuid: ``{"user_id": "bigint"}``; uuid, bigint, integer or text.
    :param existing: use a table that this package did not make, as it is; only *writer*'s grants change.
    :raises ConfigurationError: an argument can never work.
    :raises SchemaError: schema, table or role is missing, or not what was asked for; the message says what to run.
    """
    _check(table, writer, id_types, existing=existing)
    with connection.transaction():
        connection.execute(_setup(table))
        relation = _describe(connection, table)
        created = relation is None and not existing
        if created:
            _require_schema(connection, table)
            connection.execute(_create(table, id_types))
            relation = _describe(connection, table)
        relation = _require(relation, table, id_types, existing=existing)
        if writer is not None:
            _require_writer(connection, writer, relation)
            connection.execute(_grant(writer))
    missing = tuple(name for name in EVENT_FIELDS if name not in relation.columns)
    return InitResult(relation.name, created, writer, missing)


def script(
    *,
    table: str = "audit_log",
    writer: str | None = None,
    id_types: Mapping[str, str] = _DEFAULT_ID_TYPES,
    existing: bool = False,
) -> str:
    """
    Return the SQL that :func:`init` runs where there is no table yet, as one transaction for psql.

    The server tells the date: a script kept under version control makes the months of the day it is run on. Run again
    it fails and changes nothing. Takes :func:`init`'s arguments; with *existing*, only *writer*'s grants are left.

    :raises ConfigurationError: an argument can never work.
    """
    _check(table, writer, id_types, existing=existing)
    statements = [_setup(table)]
    if not existing:
        statements.append(_create(table, id_types))
    if writer is not None:
        statements.append(_grant(writer))
    return template("script").format(statements=sql.SQL("\n").join(statements)).as_string()


@dataclass(frozen=True, slots=True)
class _Relation:
    name: str
    owner: int
    comment: str | None
    columns: Mapping[str, str]
    takes_action: bool

    @property
    def version(self) -> int | None:
        match = _COMMENT.match(self.comment or "")
        return int(match[1]) if match else None


def _check(table: str, writer: str | None, id_types: Mapping[str, str], *, existing: bool) -> None:
    check_table(table)
    if writer is not None and not (writer and writer.isprintable() and len(writer.encode()) <= _MAX_BYTES):
        raise ConfigurationError(
            f"writer is {writer!r}: name a role, in 1 to {_MAX_BYTES} bytes without control characters"
        )
    for field, id_type in id_types.items():
        if field not in ID_FIELDS:
            raise ConfigurationError(f"id type for {field!r}: the id columns are {', '.join(sorted(ID_FIELDS))}")
        if id_type not in _ID_TYPES:
            raise ConfigurationError(f"id type {id_type!r} for {field}: the types are {', '.join(_ID_TYPES)}")
    if existing and id_types:
        raise ConfigurationError("id types are for a new table: an existing one keeps its own, leave them out")


def _setup(table: str) -> sql.Composed:
    return template("setup").format(
        table=sql.Literal(identifier(table).as_string()), prefix=sql.Literal(_prefix(table))
    )


def _create(table: str, id_types: Mapping[str, str]) -> sql.Composed:
    *schema, _ = table.split(".")
    prefix = _prefix(table)
    names = {
        "table": identifier(table),
        "guard": sql.Identifier(*schema, f"{prefix}_append_only"),
        "primary_key": sql.Identifier(f"{prefix}_pkey"),
        **{name: sql.Identifier(f"{prefix}_{name}") for name in _INDEXES},
        **{field: _ID_TYPES[id_types.get(field, "uuid")] for field in ID_FIELDS},
    }
    return sql.SQL("\n").join(template(f"migrations/{name}").format(**names) for name in _MIGRATIONS)


def _grant(writer: str) -> sql.Composed:
    return template("grant_writer").format(writer=sql.Literal(writer))


def _prefix(table: str) -> str:
    """Return what the names of partitions, indexes and function begin with, so that they stay within 63 bytes."""
    name = table.split(".")[-1]
    room = _MAX_BYTES - _LONGEST_SUFFIX
    if len(name.encode()) <= room:
        return name
    # Two long names that begin alike must not share their partitions' names.
    digest = f"_{zlib.crc32(name.encode()):08x}"
    return name.encode()[: room - len(digest)].decode(errors="ignore") + digest


def _describe(connection: Connection[Any], table: str) -> _Relation | None:
    # Not connection.cursor(): the caller's connection may have other placeholders than ours.
    cursor = Cursor(connection, row_factory=class_row(_Relation))
    return cursor.execute(template("describe_table"), {"table": identifier(table).as_string()}).fetchone()


def _require(relation: _Relation | None, table: str, id_types: Mapping[str, str], *, existing: bool) -> _Relation:
    if relation is None:
        raise SchemaError(f"there is no table {table}: leave out --existing to make it")
    if existing:
        if not relation.takes_action:
            raise SchemaError(f"{relation.name} has no column action of type text: give another --table, or add it")
        return relation
    _require_version(relation)
    for field, id_type in id_types.items():
        if relation.columns.get(field) != id_type:
            raise SchemaError(
                f"{field} of {relation.name} is {relation.columns.get(field)}, not {id_type}: leave out the id type to "
                "use the table as it is, or give another --table"
            )
    return relation


def _require_version(relation: _Relation) -> None:
    if relation.version is None:
        raise SchemaError(
            f"{relation.name} was not made by pglog_audit: use it as it is with --existing, or give another --table"
        )
    if relation.version > VERSION:
        raise SchemaError(f"{relation.name} has schema {relation.version}, newer than {VERSION}: upgrade pglog-audit")
    if relation.version < VERSION:
        raise SchemaError(
            f"{relation.name} has schema {relation.version}, older than {VERSION}: use it as it is with --existing, or "
            "give another --table"
        )


def _require_schema(connection: Connection[Any], table: str) -> None:
    *schema, _ = table.split(".")
    cursor = Cursor(connection, row_factory=scalar_row)
    if not cursor.execute(template("find_schema"), {"schema": schema[0] if schema else None}).fetchone():
        name = sql.Identifier(*schema or ["public"]).as_string()
        raise SchemaError(f"there is no schema for {table}: run CREATE SCHEMA {name}, then init again")


def _require_writer(connection: Connection[Any], writer: str, relation: _Relation) -> None:
    cursor = Cursor(connection, row_factory=scalar_row)
    bound = cursor.execute(template("describe_writer"), {"writer": writer, "owner": relation.owner}).fetchone()
    if bound is None:
        name = sql.Identifier(writer).as_string()
        raise SchemaError(f"there is no role {writer}: run CREATE ROLE {name} LOGIN PASSWORD '…', then init again")
    if not bound:
        raise SchemaError(
            f"{writer} owns {relation.name} or is a superuser, so that no grant binds it: give the application a "
            "role of its own with --writer, or leave --writer out"
        )
