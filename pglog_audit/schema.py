"""The audit table's life: what makes it and its view, and who may write and read."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

from psycopg import Connection, Cursor, sql
from psycopg.rows import class_row, kwargs_row, scalar_row, tuple_row
from psycopg.types.json import JsonbLoader

from . import ddl
from .errors import ConfigurationError, SchemaError
from .event import EVENT_FIELDS, ID_FIELDS
from .roles import Role, Roles, describe_role, require_roles
from .sql import check_table, identifier, is_table, template

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
    owner: str
    """The role that owns it."""
    writer: str | None = None
    """The role that may now insert."""
    reader: str | None = None
    """The role that may now read."""
    operator: str | None = None
    """The role that may now act as the owner."""
    missing: tuple[str, ...] = ()
    """The fields of an event that have no column there: the handler leaves them out."""
    view: str | None = None
    """The view on the table for people who ask in SQL, written like *table*; None on a table that lacks a field."""
    rls: bool = False
    """Whether row-level security is on."""
    writer_privileges: frozenset[str] = frozenset()
    """What the writer may do with the table now, whoever granted it: ``INSERT``, and perhaps more."""
    reader_privileges: frozenset[str] = frozenset()
    """The same of the reader: ``SELECT``, and perhaps more."""
    may_drop: frozenset[str] = frozenset()
    """Which of the two own the schema: whatever is granted, they may drop the table."""
    limits_writer: bool = False
    """Whether the writer's statements have time limits: False where the role that connects may not set them."""


def init(
    connection: Connection[Any],
    *,
    table: str = "audit_log",
    owner: str | None = None,
    writer: str | None = None,
    reader: str | None = None,
    operator: str | None = None,
    rls: bool = False,
    id_types: Mapping[str, str] = _DEFAULT_ID_TYPES,
    existing: bool = False,
) -> InitResult:
    """
    Make the audit table and its view unless they are there, and give each role what it needs; all or nothing.

    A second call changes nothing; one with further roles grants what they lack, on columns added since then too.
    Concurrent calls wait for each other. Inside a transaction of the caller's, the caller commits.

    :param connection: of a superuser, of a role that may make and grant roles, or of the table's owner.
    :param table: ``name`` or ``schema.name``, as the catalog spells it; the schema must exist.
    :param owner: the role that shall own the table, also one that is there: made NOLOGIN if it is missing. By default
        the one that connects.
    :param writer: the role of the application: gets INSERT on all columns but ``recorded_at``, and nothing else. Its
        statements in this database get a ``lock_timeout`` and a ``statement_timeout``, unless it has its own.
    :param reader: the role of those who look things up: gets SELECT on table and view, and nothing else; it may be the
        writer.
    :param operator: the role of who maintains the table: may act as the owner, by SET ROLE, and nothing else.
    :param rls: row-level security: a reader sees the events whose ``tenant_id`` is that of the setting
        ``pglog_audit.tenant``, and none where it is not set. Once on, it holds for readers that are named later.
    :param id_types: types of id columns that are not uuid: ``{"user_id": "bigint"}``; uuid, bigint, integer or text.
    :param existing: use a table that this package did not make, as it is, without a view; only grants change.
    :raises ConfigurationError: an argument can never work.
    :raises SchemaError: schema, table or role is missing, or not what was asked for; the message says what to run.
    """
    roles = Roles(owner, writer, reader, operator)
    _check(table, roles, id_types, existing=existing, rls=rls)
    with connection.transaction():
        table = _begin(connection, table)
        require_roles(connection, roles)
        relation = _describe(connection, table)
        created = relation is None and not existing
        if created:
            _require_schema(connection, table)
        else:
            _require(relation, table, id_types, existing=existing)
        if not existing:
            connection.execute(ddl.prepare_roles(table, owner, operator))
        if created:
            connection.execute(ddl.create_table(table, id_types))
        relation = _require(_describe(connection, table), table, id_types, existing=existing)
        missing = tuple(name for name in EVENT_FIELDS if name not in relation.columns)
        view = None if existing or missing else _ensure_view(connection, relation)
        relations = [relation.identifier, *([] if view is None else [view.identifier])]
        for statement in _grants(roles, relations, existing=existing, rls=rls or relation.rls):
            connection.execute(statement)
        held = {option: _hold(connection, option, name, relation) for option, name in roles.bound()}
        result = InitResult(
            relation.name,
            created,
            writer=writer,
            reader=reader,
            operator=operator,
            missing=missing,
            view=None if view is None else view.name,
            rls=rls or relation.rls,
            may_drop=frozenset(option for option, role in held.items() if role.may_drop),
            writer_privileges=_privileges(held.get("writer")),
            reader_privileges=_privileges(held.get("reader")),
            **asdict(_ownership(connection, relation)),
        )
        connection.execute(template("restore_path"))
    return result


def script(
    *,
    table: str = "audit_log",
    owner: str | None = None,
    writer: str | None = None,
    reader: str | None = None,
    operator: str | None = None,
    rls: bool = False,
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
    roles = Roles(owner, writer, reader, operator)
    _check(table, roles, id_types, existing=existing, rls=rls)
    *schema, name = table.split(".")
    relations = [identifier(table)]
    statements: list[sql.SQL | sql.Composed] = [ddl.setup(table)]
    if schema:
        statements.append(sql.SQL("{};\n").format(template("qualify_names")))
    if not existing:
        relations.append(sql.Identifier(*schema, ddl.view_name(name)))
        statements.append(ddl.prepare_roles(table, owner, operator))
        statements += [ddl.create_table(table, id_types), ddl.create_view(*relations)]
    statements += _grants(roles, relations, existing=existing, rls=rls)
    statements.append(sql.SQL("{};\n").format(template("restore_path")))
    joined = sql.SQL("\n").join(statements)
    return (template("script").format(statements=joined) if transaction else joined).as_string()


@dataclass(frozen=True, slots=True)
class _Relation:
    schema: str
    table: str
    name: str
    owner: int
    comment: str | None
    rls: bool
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
class _Ownership:
    owner: str
    limits_writer: bool


@dataclass(frozen=True, slots=True)
class _View:
    name: str
    reads: bool
    identifier: sql.Identifier


def _check(table: str, roles: Roles, id_types: Mapping[str, str], *, existing: bool, rls: bool) -> None:
    check_table(table)
    roles.check(existing=existing)
    if rls and roles.reader is None:
        raise ConfigurationError("row-level security says what a reader sees: name a reader")
    if rls and existing:
        raise ConfigurationError("an existing table keeps its own policies: leave row-level security out")
    _check_id_types(id_types, existing=existing)


def _check_id_types(id_types: Mapping[str, str], *, existing: bool) -> None:
    for field, id_type in id_types.items():
        if field not in ID_FIELDS:
            raise ConfigurationError(f"id type for {field!r}: the id columns are {', '.join(sorted(ID_FIELDS))}")
        if id_type not in ddl.ID_TYPES:
            raise ConfigurationError(f"id type {id_type!r} for {field}: the types are {', '.join(ddl.ID_TYPES)}")
    if existing and id_types:
        raise ConfigurationError("id types are for a new table: an existing one keeps its own, leave them out")


def _begin(connection: Connection[Any], table: str) -> str:
    """Wait for other setups, let no function be found but PostgreSQL's own, and return *table* with its schema."""
    *schema, name = table.split(".")
    asked = {"schema": schema[0] if schema else None, "name": name}
    cursor = Cursor(connection, row_factory=tuple_row)
    found = cursor.execute(template("find_table"), asked).fetchone()
    found = found or cursor.execute(template("find_schema"), asked).fetchone()
    if found and found[0] and is_table(f"{found[0]}.{name}"):
        table = f"{found[0]}.{name}"
        connection.execute(ddl.setup(table))
        # A schema of the path may be one where others make functions, which this connection must not call.
        connection.execute(template("qualify_names"))
    else:  # no schema, or one whose name we cannot write as a text
        connection.execute(ddl.setup(table))
    return table


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


def _grants(
    roles: Roles, relations: Sequence[sql.Identifier], *, existing: bool, rls: bool
) -> Iterator[sql.SQL | sql.Composed]:
    """Give what the roles need: on table and view as the owner, and the rest as the role that connects."""
    if roles.writer is not None:
        yield ddl.grant_writer(roles.writer)
    if roles.reader is not None:
        yield ddl.grant_reader(roles.reader, *relations)
    if existing:
        return
    if rls and roles.reader is not None:
        yield ddl.secure_rows(relations[0], roles.reader)
    yield ddl.leave_owner()
    if roles.operator is not None:
        yield ddl.grant_operator(roles.operator)
    if roles.writer is not None:
        yield ddl.limit_writer(roles.writer)


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


def _ownership(connection: Connection[Any], relation: _Relation) -> _Ownership:
    cursor = Cursor(connection, row_factory=class_row(_Ownership))
    [ownership] = cursor.execute(template("describe_ownership"), {"table": relation.identifier.as_string()})
    return ownership


def _privileges(role: Role | None) -> frozenset[str]:
    return frozenset(role.privileges if role else ())


def _hold(connection: Connection[Any], option: str, name: str, relation: _Relation) -> Role:
    """Return what a role may do now; to act as the owner, also by way of another role, would undo every grant."""
    role = describe_role(connection, name, relation.identifier, relation.owner)
    if role is None or not role.bound:
        raise SchemaError(
            f"{name} owns {relation.name} or may act as its owner, or is a superuser, so that no grant binds it: give "
            f"--{option} a role of its own, or leave --{option} out"
        )
    return role
