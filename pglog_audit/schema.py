"""The audit table's life: what makes it and its view, and who may write and read."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

from psycopg import Connection, Cursor, sql
from psycopg.rows import class_row, kwargs_row, scalar_row
from psycopg.types.json import JsonbLoader

from . import ddl
from .errors import ConfigurationError, SchemaError
from .event import EVENT_FIELDS, ID_FIELDS
from .sql import check_table, identifier, template

VERSION = 1
"""The schema that this package makes; the table's comment says which one a table has."""

_COMMENT = re.compile(r"pglog_audit schema (\d+)\b")
_DEFAULT_ID_TYPES: Mapping[str, str] = MappingProxyType({})


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
    reader: str | None = None
    """The role that may now read."""
    view: str | None = None
    """The view on the table for people who ask in SQL, written like *table*; None on a table that lacks a field."""
    writer_privileges: frozenset[str] = frozenset()
    """What the writer may do with the table now, whoever granted it: ``INSERT``, and perhaps more."""
    reader_privileges: frozenset[str] = frozenset()
    """The same of the reader: ``SELECT``, and perhaps more."""


def init(
    connection: Connection[Any],
    *,
    table: str = "audit_log",
    writer: str | None = None,
    reader: str | None = None,
    id_types: Mapping[str, str] = _DEFAULT_ID_TYPES,
    existing: bool = False,
) -> InitResult:
    """
    Make the audit table and its view unless they are there, and let *writer* insert and *reader* read; all or nothing.

    A second call changes nothing; one with a *writer* or *reader* grants what that role lacks, on columns added since
    then too. Concurrent calls wait for each other. Inside a transaction of the caller's, the caller commits.

    :param connection: of the role that shall own the table, or that owns it; superuser or not.
    :param table: ``name`` or ``schema.name``, as the catalog spells it; the schema must exist.
    :param writer: the role of the application: gets INSERT on all columns but ``recorded_at``, and nothing else.
    :param reader: the role of those who look things up: gets SELECT on table and view, and nothing else; it may be the
        writer.
    :param id_types: types of id columns that are not uuid: ``{"user_id": "bigint"}``; uuid, bigint, integer or text.
    :param existing: use a table that this package did not make, as it is, without a view; only grants change.
    :raises ConfigurationError: an argument can never work.
    :raises SchemaError: schema, table or role is missing, or not what was asked for; the message says what to run.
    """
    _check(table, writer, reader, id_types, existing=existing)
    with connection.transaction():
        connection.execute(ddl.setup(table))
        relation = _describe(connection, table)
        created = relation is None and not existing
        if created:
            _require_schema(connection, table)
            connection.execute(ddl.create_table(table, id_types))
            relation = _describe(connection, table)
        relation = _require(relation, table, id_types, existing=existing)
        missing = tuple(name for name in EVENT_FIELDS if name not in relation.columns)
        view = None if existing or missing else _ensure_view(connection, relation)
        _grant(connection, relation, writer, reader, view)
        held = [_privileges(connection, role, relation) for role in (writer, reader)]
    return InitResult(relation.name, created, writer, missing, reader, None if view is None else view.name, *held)


def script(
    *,
    table: str = "audit_log",
    writer: str | None = None,
    reader: str | None = None,
    id_types: Mapping[str, str] = _DEFAULT_ID_TYPES,
    existing: bool = False,
    transaction: bool = True,
) -> str:
    """
    Return the SQL that :func:`init` runs where there is no table yet, as one transaction for psql.

    The server tells the date: a script kept under version control makes the months of the day it is run on. Run again
    it fails and changes nothing. Takes :func:`init`'s arguments; with *existing*, only the grants are left.

    :param transaction: False leaves BEGIN and COMMIT to a tool that says them itself.
    :raises ConfigurationError: an argument can never work.
    """
    _check(table, writer, reader, id_types, existing=existing)
    *schema, name = table.split(".")
    relations = [identifier(table)]
    parts = [ddl.setup(table)]
    if not existing:
        relations.append(sql.Identifier(*schema, ddl.view_name(name)))
        parts += [ddl.create_table(table, id_types), ddl.create_view(*relations)]
    if writer is not None:
        parts.append(ddl.grant_writer(writer))
    if reader is not None:
        parts.append(ddl.grant_reader(reader, *relations))
    statements = sql.SQL("\n").join(parts)
    return (template("script").format(statements=statements) if transaction else statements).as_string()


@dataclass(frozen=True, slots=True)
class _Relation:
    schema: str
    table: str
    name: str
    owner: int
    comment: str | None
    columns: Mapping[str, str]
    takes_action: bool

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.table)

    @property
    def version(self) -> int | None:
        match = _COMMENT.match(self.comment or "")
        return int(match[1]) if match else None


@dataclass(frozen=True, slots=True)
class _View:
    name: str
    reads: bool
    identifier: sql.Identifier


@dataclass(frozen=True, slots=True)
class _Role:
    bound: bool
    privileges: Sequence[str]


def _check(table: str, writer: str | None, reader: str | None, id_types: Mapping[str, str], *, existing: bool) -> None:
    check_table(table)
    _check_role("writer", writer)
    _check_role("reader", reader)
    _check_id_types(id_types, existing=existing)


def _check_role(option: str, role: str | None) -> None:
    if role is not None and not (role and role.isprintable() and len(role.encode()) <= ddl.MAX_BYTES):
        raise ConfigurationError(
            f"{option} is {role!r}: name a role, in 1 to {ddl.MAX_BYTES} bytes without control characters"
        )


def _check_id_types(id_types: Mapping[str, str], *, existing: bool) -> None:
    for field, id_type in id_types.items():
        if field not in ID_FIELDS:
            raise ConfigurationError(f"id type for {field!r}: the id columns are {', '.join(sorted(ID_FIELDS))}")
        if id_type not in ddl.ID_TYPES:
            raise ConfigurationError(f"id type {id_type!r} for {field}: the types are {', '.join(ddl.ID_TYPES)}")
    if existing and id_types:
        raise ConfigurationError("id types are for a new table: an existing one keeps its own, leave them out")


def _describe(connection: Connection[Any], table: str) -> _Relation | None:
    # Not connection.cursor(): the caller's connection may have other placeholders than ours; and Django's gives JSON as
    # text.
    cursor = Cursor(connection, row_factory=class_row(_Relation))
    cursor.adapters.register_loader("jsonb", JsonbLoader)
    return cursor.execute(template("describe_table"), {"table": identifier(table).as_string()}).fetchone()


def _ensure_view(connection: Connection[Any], relation: _Relation) -> _View:
    view = sql.Identifier(relation.schema, ddl.view_name(relation.table))
    found = _find_view(connection, relation, view)
    if found is None:
        connection.execute(ddl.create_view(relation.identifier, view))
        found = _find_view(connection, relation, view)
    if found is None or not found.reads:
        raise SchemaError(
            f"{view.as_string()} is no view on {relation.name}, and the view takes that name: rename it, or give "
            "another --table"
        )
    return found


def _find_view(connection: Connection[Any], relation: _Relation, view: sql.Identifier) -> _View | None:
    cursor = Cursor(connection, row_factory=kwargs_row(partial(_View, identifier=view)))
    names = {"view": view.as_string(), "table": relation.identifier.as_string()}
    return cursor.execute(template("describe_view"), names).fetchone()


def _grant(
    connection: Connection[Any], relation: _Relation, writer: str | None, reader: str | None, view: _View | None
) -> None:
    if writer is not None:
        _require_role(connection, "writer", writer, relation)
        connection.execute(ddl.grant_writer(writer))
    if reader is not None:
        _require_role(connection, "reader", reader, relation)
        relations = [relation.identifier] if view is None else [relation.identifier, view.identifier]
        connection.execute(ddl.grant_reader(reader, *relations))


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


def _privileges(connection: Connection[Any], name: str | None, relation: _Relation) -> frozenset[str]:
    role = None if name is None else _describe_role(connection, name, relation)
    return frozenset(role.privileges if role else ())


def _describe_role(connection: Connection[Any], name: str, relation: _Relation) -> _Role | None:
    cursor = Cursor(connection, row_factory=class_row(_Role))
    asked = {"role": name, "owner": relation.owner, "table": relation.identifier.as_string()}
    return cursor.execute(template("describe_role"), asked).fetchone()


def _require_role(connection: Connection[Any], option: str, name: str, relation: _Relation) -> None:
    role = _describe_role(connection, name, relation)
    if role is None:
        statement = f"CREATE ROLE {sql.Identifier(name).as_string()} LOGIN PASSWORD '…'"
        raise SchemaError(f"there is no role {name}: run {statement}, then init again")
    if not role.bound:
        raise SchemaError(
            f"{name} owns {relation.name} or is a superuser, so that no grant binds it: give --{option} a role of its "
            f"own, or leave --{option} out"
        )
