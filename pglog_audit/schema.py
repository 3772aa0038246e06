"""The audit table's life: what makes it and its view, and who may write and read."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from psycopg import Connection, Cursor, sql
from psycopg.pq import TransactionStatus
from psycopg.rows import class_row, kwargs_row, scalar_row, tuple_row

from . import ddl, scripts, table_names
from .audit_event import EVENT_FIELDS
from .audit_table import AuditTable, describe, require_retained, require_version
from .errors import SchemaError
from .lock_holders import Waiting, telling_holders
from .roles import Role, Roles, describe_role, require_roles
from .scripts import DEFAULT_ID_TYPES
from .scripts import partitions_script as partitions_script
from .scripts import script as script
from .scripts import upgrade_script as upgrade_script
from .sql import is_table, template
from .steps import Step

VERSION = ddl.VERSION


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
    closed_view: bool = False
    """Whether the view, by its owner's rights, showed the events of all tenants until now."""
    writer_privileges: frozenset[str] = frozenset()
    """What the writer may do with the table now, whoever granted it: ``INSERT``, and perhaps more."""
    reader_privileges: frozenset[str] = frozenset()
    """The same of the reader: ``SELECT``, and perhaps more."""
    may_drop: frozenset[str] = frozenset()
    """Which of the two own the schema: whatever is granted, they may drop the table."""
    limits_writer: bool = False
    """Whether the writer's statements have time limits: False where the role that connects may not set them."""
    partitions: str = "monthly"
    """How long its partitions are."""
    version: int | None = VERSION
    """The schema that it has; None for another program's table."""


def init(
    connection: Connection[Any],
    *,
    table: str = "audit_log",
    owner: str | None = None,
    writer: str | None = None,
    reader: str | None = None,
    operator: str | None = None,
    rls: bool = False,
    id_types: Mapping[str, str] = DEFAULT_ID_TYPES,
    partitions: str | None = None,
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
    :param partitions: how long the partitions of a new table are: ``daily``, ``monthly`` (the default) or ``yearly``.
    :param existing: use a table that this package did not make, as it is, without a view; only grants change.
    :raises ConfigurationError: an argument can never work.
    :raises SchemaError: schema, table or role is missing, or not what was asked for; the message says what to run.
    :raises psycopg.errors.LockNotAvailable: somebody held the lock of setups or the table; the message says who.
    """
    roles = Roles(owner, writer, reader, operator)
    step = scripts.check(table, roles, id_types, partitions, existing=existing, rls=rls)
    is_callers = connection.info.transaction_status != TransactionStatus.IDLE
    with telling_holders(connection, table) as waiting, connection.transaction():
        if not is_callers:
            connection.execute(template("read_committed"))
        table = _begin(connection, table, waiting)
        require_roles(connection, roles)
        relation = describe(connection, table)
        require = partial(_require, id_types=id_types, step=step if partitions else None, existing=existing)
        created = relation is None and not existing
        if created:
            _require_schema(connection, table)
        else:
            require(relation, table)
        if not existing:
            connection.execute(ddl.prepare_roles(table, owner, operator, writer=writer, reader=reader))
        if created:
            connection.execute(ddl.create_table(table, id_types, step))
        relation = require(describe(connection, table), table)
        missing = tuple(name for name in EVENT_FIELDS if name not in relation.columns)
        rls = rls or relation.rls
        view = None if existing or missing else _ensure_view(connection, relation, rls=rls)
        relations = [relation.identifier, *([] if view is None else [view.identifier])]
        if relation.version is not None and relation.version > 1:
            require_retained(connection, relation)
            relations.append(relation.retained)
        for statement in scripts.grants(roles, relations, existing=existing, rls=rls):
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
            rls=rls,
            closed_view=rls and view is not None and view.is_open,
            may_drop=frozenset(option for option, role in held.items() if role.may_drop),
            writer_privileges=_privileges(held.get("writer")),
            reader_privileges=_privileges(held.get("reader")),
            partitions=relation.step.name,
            version=relation.version,
            **asdict(_ownership(connection, relation)),
        )
        connection.execute(template("restore_session"))
    return result


@dataclass(frozen=True, slots=True)
class _Ownership:
    owner: str
    limits_writer: bool


@dataclass(frozen=True, slots=True)
class _View:
    name: str
    reads: bool
    is_copy: bool
    is_open: bool
    """Whether it shows what its owner may read, and could show what its reader may."""
    identifier: sql.Identifier


def _begin(connection: Connection[Any], table: str, waiting: Waiting) -> str:
    """Let no function be found but PostgreSQL's own, wait for other setups, and return *table* with its schema."""
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
    waiting.of_setups = True
    connection.execute(ddl.lock_setup())
    waiting.of_setups = False
    return table


def _ensure_view(connection: Connection[Any], relation: AuditTable, *, rls: bool) -> _View:
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
    if rls and found.is_copy:
        raise SchemaError(
            f"{found.name} is a materialized view: it holds events of all tenants, and no policy binds who reads it; "
            "rename it, and init makes a view there"
        )
    if rls and found.is_open:
        # One that PostgreSQL 14 made is so, also behind pg_upgrade.
        connection.execute(template("close_view").format(view=view))
    return found


def _find_view(connection: Connection[Any], relation: AuditTable, view: sql.Identifier) -> _View | None:
    cursor = Cursor(connection, row_factory=kwargs_row(partial(_View, identifier=view)))
    names = {"view": view.as_string(), "table": relation.identifier.as_string()}
    return cursor.execute(template("describe_view"), names).fetchone()


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
        if not schema:
            raise SchemaError(
                "search_path names no schema that exists and that this role may use: give "
                f"--table public.{table}, or set search_path"
            )
        name = sql.Identifier(*schema).as_string()
        raise SchemaError(f"there is no schema for {table}: run CREATE SCHEMA {name}, then init again")


def _ownership(connection: Connection[Any], relation: AuditTable) -> _Ownership:
    cursor = Cursor(connection, row_factory=class_row(_Ownership))
    [ownership] = cursor.execute(template("describe_ownership"), {"table": relation.identifier.as_string()})
    return ownership


def _privileges(role: Role | None) -> frozenset[str]:
    return frozenset(role.privileges if role else ())


def _hold(connection: Connection[Any], option: str, name: str, relation: AuditTable) -> Role:
    """Return what a role may do now; to act as the owner, also by way of another role, would undo every grant."""
    role = describe_role(connection, name, relation.identifier, relation.owner)
    if role is None or not role.bound:
        raise SchemaError(
            f"{name} owns {relation.name} or may act as its owner, or is a superuser, so that no grant binds it: give "
            f"--{option} a role of its own, or leave --{option} out"
        )
    return role
