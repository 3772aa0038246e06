"""The SQL that makes the audit table and its view, and gives roles what they need of them."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from psycopg import sql

from .event import ID_FIELDS
from .sql import identifier, template
from .steps import STEPS, Step
from .table_comment import write_comment
from .table_names import guard_name, name_prefix, retained_name, view_name

ID_TYPES = MappingProxyType(
    {
        "uuid": sql.SQL("uuid"),
        "bigint": sql.SQL("bigint"),
        "integer": sql.SQL("integer"),
        "text": sql.SQL("text"),
    }
)
"""What an id column may be."""

VERSION = 2
"""The schema that this package makes; the table's comment says which one a table has."""

_MIGRATIONS = ("0001_audit_log", "0002_retained")
_INDEXES = (
    "newest",
    *(f"by_{what}" for what in ("event", "user", "target", "entity", "action", "tenant", "request", "outcome")),
)
_DEFAULT_ID_TYPES: Mapping[str, str] = MappingProxyType({})


def setup(table: str) -> sql.Composed:
    """Return what comes first: the names that the rest goes by."""
    *_, name = table.split(".")
    return template("setup").format(table=_literal(identifier(table)), prefix=sql.Literal(name_prefix(name)))


def prepare_roles(
    table: str,
    owner: str | None = None,
    operator: str | None = None,
    *,
    writer: str | None = None,
    reader: str | None = None,
) -> sql.Composed:
    """Return what lets the rest be done as *owner*, until :func:`leave_owner`, or refuses all of it."""
    *schema, name = table.split(".")
    prepare = template("prepare_roles").format(
        schema=sql.Literal("".join(schema)),
        owner=sql.Literal(owner or ""),
        operator=sql.Literal(operator or ""),
        users=sql.Literal([role for role in (writer, reader, operator) if role]),
        view=_literal(sql.Identifier(*schema, view_name(name))),
        retained=_literal(sql.Identifier(*schema, retained_name(name))),
    )
    return sql.SQL("\n").join([prepare, template("lock_table")])


def lock_setup() -> sql.SQL:
    """Return what waits for other setups, which may make the same table."""
    return template("lock_setup")


def leave_owner() -> sql.SQL:
    """Return what ends the work as the owner."""
    return template("leave_owner")


def create_table(
    table: str, id_types: Mapping[str, str], step: Step = STEPS["monthly"], version: int = VERSION
) -> sql.Composed:
    """Return what makes *table* of schema *version*, with columns of *id_types* where they are no uuid."""
    return sql.SQL("\n").join([*migrate(table, 0, version, step, id_types), make_partitions(step)])


def migrate(
    table: str, since: int, version: int, step: Step, id_types: Mapping[str, str] = _DEFAULT_ID_TYPES
) -> Iterator[sql.Composed]:
    """Yield what makes schema *version* of *table*, which has schema *since*; 0 is none yet."""
    *schema, name = table.split(".")
    prefix = name_prefix(name)
    retained = sql.Identifier(*schema, retained_name(name))
    names = {
        "table": identifier(table),
        "guard": sql.Identifier(*schema, guard_name(name)),
        "primary_key": sql.Identifier(f"{prefix}_pkey"),
        "retained": retained,
        "retained_name": _literal(retained),
        "retained_by_writer": sql.Identifier(f"{prefix}_retained_by"),
        "comment": sql.Literal(write_comment(version, step)),
        **{name: sql.Identifier(f"{prefix}_{name}") for name in _INDEXES},
        **{field: ID_TYPES[id_types.get(field, "uuid")] for field in ID_FIELDS},
    }
    for migration, made in list(zip(_MIGRATIONS, (identifier(table), retained), strict=True))[since:version]:
        yield template(f"migrations/{migration}").format(**names, revoke_given=revoke_given(made))


def make_partitions(step: Step) -> sql.Composed:
    """Return what makes the partitions ahead that are not there, after :func:`setup`."""
    return template("make_partitions").format(
        unit=sql.Literal(step.unit),
        step=sql.Literal(f"1 {step.unit}"),
        suffix=sql.Literal(step.suffix),
        ahead=sql.Literal(step.ahead),
    )


def revoke_given(relation: sql.Identifier) -> sql.Composed:
    """Return what takes back what default privileges gave of the new *relation*."""
    return template("revoke_given").format(relation_name=_literal(relation))


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


def _literal(name: sql.Identifier) -> sql.Literal:
    return sql.Literal(name.as_string())
