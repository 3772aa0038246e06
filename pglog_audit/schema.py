"""The audit table's begin: what makes it and its view, and who may write and read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

from psycopg import Connection, Cursor, sql
from psycopg.rows import class_row, kwargs_row, scalar_row

from . import ddl, table_names
from .audit_table import AuditTable, describe, require_version
from .errors import ConfigurationError, SchemaError
from .event import EVENT_FIELDS, ID_FIELDS
from .sql import check_table, identifier, template
from .steps import Step, check_step

VERSION = ddl.VERSION
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
    partitions: str = "monthly"
    """How long its partitions are."""
    version: int | None = VERSION
    """The schema that it has; None for another program's table."""


def init(
    connection: Connection[Any],
    *,
    table: str = "audit_log",
    writer: str | None = None,
    reader: str | None = None,
    id_types: Mapping[str, str] = _DEFAULT_ID_TYPES,
    partitions: str | None = None,
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
    :param partitions: how long the partitions of a new table are: ``daily``, ``monthly`` (the default) or ``yearly``.
    :param existing: use a table that this package did not make, as it is, without a view; only grants change.
    :raises ConfigurationError: an argument can never work.
    :raises SchemaError: schema, table or role is missing, or not what was asked for; the message says what to run.
    """
    step = _check(table, writer, reader, id_types, partitions, existing=existing)
    with connection.transaction():
        connection.execute(ddl.setup(table))
        relation = describe(connection, table)
        created = relation is None and not existing
        if created:
            _require_schema(connection, table)
            connection.execute(ddl.create_table(table, id_types, step))
            relation = describe(connection, table)
        relation = _require(relation, table, id_types, step if partitions else None, existing=existing)
        missing = tuple(name for name in EVENT_FIELDS if name not in relation.columns)
        view = None if existing or missing else _ensure_view(connection, relation)
        _grant(connection, relation, writer, reader, view)
        held = [_privileges(connection, role, relation) for role in (writer, reader)]
    return InitResult(
        table=relation.name,
        created=created,
        writer=writer,
        missing=missing,
        reader=reader,
        view=None if view is None else view.name,
        writer_privileges=held[0],
        reader_privileges=held[1],
        partitions=relation.step.name,
        version=relation.version,
    )


def script(
    *,
    table: str = "audit_log",
    writer: str | None = None,
    reader: str | None = None,
    id_types: Mapping[str, str] = _DEFAULT_ID_TYPES,
    partitions: str | None = None,
    existing: bool = False,
    transaction: bool = True,
) -> str:
    """
    Return the SQL that :func:`init` runs where there is no table yet, as one transaction for psql.

    The server tells the date: a script kept under version control makes the months of the day it is run on. Run again
    it fails and changes nothing. Takes :func:`init`'s arguments; with *existing*, only the grants are left.

    :param transaction: False leaves BEGIN and COMMIT to a migration tool, which must run it all in one transaction.
    :raises ConfigurationError: an argument can never work.
    """
    step = _check(table, writer, reader, id_types, partitions, existing=existing)
    *schema, name = table.split(".")
    relations = [identifier(table)]
    statements = [ddl.setup(table)]
    if not existing:
        relations.append(sql.Identifier(*schema, table_names.view_name(name)))
        statements += [ddl.create_table(table, id_types, step), ddl.create_view(*relations)]
        relations.append(sql.Identifier(*schema, table_names.retained_name(name)))
    if writer is not None:
        statements.append(ddl.grant_writer(writer))
    if reader is not None:
        statements.append(ddl.grant_reader(reader, *relations))
    return _script(statements, transaction=transaction)


def upgrade_script(version: int, *, table: str = "audit_log", transaction: bool = True) -> str:
    """
    Return the SQL that makes schema *version* of a table with monthly partitions that has the schema before.

    :param transaction: False leaves BEGIN and COMMIT to a migration tool, which must run it all in one transaction.
    :raises ConfigurationError: there is no such version to upgrade to.
    """
    if not 1 < version <= VERSION:
        raise ConfigurationError(f"version is {version!r}: the schemas to upgrade to are 2 to {VERSION}")
    check_table(table)
    migrations = ddl.migrate(table, version - 1, version, check_step("monthly"))
    return _script([ddl.setup(table), *migrations], transaction=transaction)


def partitions_script(*, table: str = "audit_log", partitions: str | None = None) -> str:
    """
    Return the SQL that makes the partitions ahead which are not there, for pg_cron.

    :param partitions: how long those of the table are, by default ``monthly``.
    """
    step = _check(table, None, None, {}, partitions, existing=False)
    return _script([ddl.setup(table), ddl.make_partitions(step)], transaction=False)


def _script(statements: Sequence[sql.Composed], *, transaction: bool) -> str:
    joined = sql.SQL("\n").join(statements)
    return (template("script").format(statements=joined) if transaction else joined).as_string()


@dataclass(frozen=True, slots=True)
class _View:
    name: str
    reads: bool
    identifier: sql.Identifier


@dataclass(frozen=True, slots=True)
class _Role:
    bound: bool
    privileges: Sequence[str]


def _check(
    table: str,
    writer: str | None,
    reader: str | None,
    id_types: Mapping[str, str],
    partitions: str | None,
    *,
    existing: bool,
) -> Step:
    check_table(table)
    _check_role("writer", writer)
    _check_role("reader", reader)
    _check_id_types(id_types, existing=existing)
    if existing and partitions is not None:
        raise ConfigurationError("partitions are for a new table: an existing one keeps its own, leave the option out")
    return check_step("monthly" if partitions is None else partitions)


def _check_role(option: str, role: str | None) -> None:
    if role is not None and not (role and role.isprintable() and len(role.encode()) <= table_names.MAX_BYTES):
        raise ConfigurationError(
            f"{option} is {role!r}: name a role, in 1 to {table_names.MAX_BYTES} bytes without control characters"
        )


def _check_id_types(id_types: Mapping[str, str], *, existing: bool) -> None:
    for field, id_type in id_types.items():
        if field not in ID_FIELDS:
            raise ConfigurationError(f"id type for {field!r}: the id columns are {', '.join(sorted(ID_FIELDS))}")
        if id_type not in ddl.ID_TYPES:
            raise ConfigurationError(f"id type {id_type!r} for {field}: the types are {', '.join(ddl.ID_TYPES)}")
    if existing and id_types:
        raise ConfigurationError("id types are for a new table: an existing one keeps its own, leave them out")


def _ensure_view(connection: Connection[Any], relation: AuditTable) -> _View:
    view = sql.Identifier(relation.schema, table_names.view_name(relation.table))
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


def _find_view(connection: Connection[Any], relation: AuditTable, view: sql.Identifier) -> _View | None:
    cursor = Cursor(connection, row_factory=kwargs_row(partial(_View, identifier=view)))
    names = {"view": view.as_string(), "table": relation.identifier.as_string()}
    return cursor.execute(template("describe_view"), names).fetchone()


def _grant(
    connection: Connection[Any], relation: AuditTable, writer: str | None, reader: str | None, view: _View | None
) -> None:
    if writer is not None:
        _require_role(connection, "writer", writer, relation)
        connection.execute(ddl.grant_writer(writer))
    if reader is not None:
        _require_role(connection, "reader", reader, relation)
        relations = [relation.identifier] if view is None else [relation.identifier, view.identifier]
        if relation.version is not None and relation.version > 1:
            relations.append(relation.retained)
        connection.execute(ddl.grant_reader(reader, *relations))


def _require(
    relation: AuditTable | None, table: str, id_types: Mapping[str, str], step: Step | None, *, existing: bool
) -> AuditTable:
    if relation is None:
        raise SchemaError(f"there is no table {table}: leave out --existing to make it")
    if existing:
        if not relation.takes_action:
            raise SchemaError(f"{relation.name} has no column action of type text: give another --table, or add it")
        return relation
    require_version(relation)
    if step not in (None, relation.step):
        raise SchemaError(
            f"the partitions of {relation.name} are {relation.step.name}: leave out the option to use the table as it "
            "is, or give another --table"
        )
    for field, id_type in id_types.items():
        if relation.columns.get(field) != id_type:
            raise SchemaError(
                f"{field} of {relation.name} is {relation.columns.get(field)}, not {id_type}: leave out the id type to "
                "use the table as it is, or give another --table"
            )
    return relation


def _require_schema(connection: Connection[Any], table: str) -> None:
    *schema, _ = table.split(".")
    cursor = Cursor(connection, row_factory=scalar_row)
    if not cursor.execute(template("find_schema"), {"schema": schema[0] if schema else None}).fetchone():
        name = sql.Identifier(*schema or ["public"]).as_string()
        raise SchemaError(f"there is no schema for {table}: run CREATE SCHEMA {name}, then init again")


def _privileges(connection: Connection[Any], name: str | None, relation: AuditTable) -> frozenset[str]:
    role = None if name is None else _describe_role(connection, name, relation)
    return frozenset(role.privileges if role else ())


def _describe_role(connection: Connection[Any], name: str, relation: AuditTable) -> _Role | None:
    cursor = Cursor(connection, row_factory=class_row(_Role))
    asked = {"role": name, "owner": relation.owner, "table": relation.identifier.as_string()}
    return cursor.execute(template("describe_role"), asked).fetchone()


def _require_role(connection: Connection[Any], option: str, name: str, relation: AuditTable) -> None:
    role = _describe_role(connection, name, relation)
    if role is None:
        statement = f"CREATE ROLE {sql.Identifier(name).as_string()} LOGIN PASSWORD '…'"
        raise SchemaError(f"there is no role {name}: run {statement}, then init again")
    if not role.bound:
        raise SchemaError(
            f"{name} owns {relation.name} or is a superuser, so that no grant binds it: give --{option} a role of its "
            f"own, or leave --{option} out"
        )
