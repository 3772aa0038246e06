"""The SQL that makes the audit table and its view, and gives roles what they need of them."""

import zlib
from collections.abc import Mapping
from types import MappingProxyType

from psycopg import sql

from .event import ID_FIELDS
from .sql import identifier, template

ID_TYPES = MappingProxyType(
    {
        "uuid": sql.SQL("uuid"),
        "bigint": sql.SQL("bigint"),
        "integer": sql.SQL("integer"),
        "text": sql.SQL("text"),
    }
)
"""What an id column may be."""

MAX_BYTES = 63
"""The longest name that PostgreSQL keeps whole."""

_MIGRATIONS = ("0001_audit_log",)
_INDEXES = (
    "newest",
    *(f"by_{what}" for what in ("event", "user", "target", "entity", "action", "tenant", "request", "outcome")),
)
_LONGEST_SUFFIX = len("_append_only")


def setup(table: str) -> sql.Composed:
    """Return what comes first: one setup at a time, and the names that the rest goes by."""
    *_, name = table.split(".")
    return template("setup").format(table=_literal(identifier(table)), prefix=sql.Literal(_prefix(name)))


def prepare_roles(table: str, owner: str | None, operator: str | None) -> sql.Composed:
    """Return what lets the rest be done as *owner*, until :func:`leave_owner`, or refuses all of it."""
    *schema, name = table.split(".")
    return template("prepare_roles").format(
        schema=sql.Literal("".join(schema)),
        owner=sql.Literal(owner or ""),
        operator=sql.Literal(operator or ""),
        view=_literal(sql.Identifier(*schema, view_name(name))),
    )


def leave_owner() -> sql.SQL:
    """Return what ends the work as the owner."""
    return template("leave_owner")


def create_table(table: str, id_types: Mapping[str, str]) -> sql.Composed:
    """Return what makes *table*, with columns of *id_types* where they are no uuid."""
    *schema, name = table.split(".")
    prefix = _prefix(name)
    names = {
        "table": identifier(table),
        "guard": sql.Identifier(*schema, guard_name(name)),
        "primary_key": sql.Identifier(f"{prefix}_pkey"),
        **{name: sql.Identifier(f"{prefix}_{name}") for name in _INDEXES},
        **{field: ID_TYPES[id_types.get(field, "uuid")] for field in ID_FIELDS},
    }
    return sql.SQL("\n").join(template(f"migrations/{name}").format(**names) for name in _MIGRATIONS)


def create_view(table: sql.Identifier, view: sql.Identifier) -> sql.Composed:
    """Return what makes *view* on *table*."""
    return template("timeline_view").format(table=table, view=view, view_name=_literal(view))


def grant_writer(writer: str) -> sql.Composed:
    """Return what lets *writer* insert."""
    return template("grant_writer").format(writer=sql.Literal(writer))


def grant_reader(reader: str, *relations: sql.Identifier) -> sql.Composed:
    """Return what lets *reader* read *relations*."""
    return sql.SQL("\n").join(
        template("grant_reader").format(
            relation=relation,
            relation_name=_literal(relation),
            reader=sql.Identifier(reader),
            reader_name=sql.Literal(reader),
        )
        for relation in relations
    )


def secure_rows(table: sql.Identifier, reader: str) -> sql.Composed:
    """Return what turns row-level security on, and lets *reader* read a tenant's rows."""
    return template("secure_rows").format(table=table, reader=sql.Literal(reader))


def grant_operator(operator: str) -> sql.Composed:
    """Return what lets *operator* act as the owner."""
    return template("grant_operator").format(operator=sql.Literal(operator))


def limit_writer(writer: str) -> sql.Composed:
    """Return what gives the statements of *writer* an end."""
    return template("limit_writer").format(writer=sql.Literal(writer))


def guard_name(name: str) -> str:
    """Return the name of the function that refuses changes of the table *name*, without a schema."""
    return f"{_prefix(name)}_append_only"


def view_name(name: str) -> str:
    """Return the name of the view on the table *name*, without a schema: ``audit_timeline`` for ``audit_log``."""
    return "audit_timeline" if name == "audit_log" else f"{_prefix(name)}_timeline"


def _literal(name: sql.Identifier) -> sql.Literal:
    return sql.Literal(name.as_string())


def _prefix(name: str) -> str:
    """Return what the names of partitions, indexes and function begin with, so that they stay within 63 bytes."""
    room = MAX_BYTES - _LONGEST_SUFFIX
    if len(name.encode()) <= room:
        return name
    # Two long names that begin alike must not share their partitions' names.
    digest = f"_{zlib.crc32(name.encode()):08x}"
    return name.encode()[: room - len(digest)].decode(errors="ignore") + digest
