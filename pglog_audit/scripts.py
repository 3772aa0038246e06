"""The SQL of the audit table as scripts: what init, upgrade and maintain run, for psql and for migration tools."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from psycopg import sql

from . import ddl, table_names
from .errors import ConfigurationError
from .event import ID_FIELDS
from .roles import Roles
from .sql import check_table, identifier, template
from .steps import Step, check_step

DEFAULT_ID_TYPES: Mapping[str, str] = MappingProxyType({})
"""Of a table whose id columns are uuid."""


def script(
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
    transaction: bool = True,
) -> str:
    """
    Return the SQL that :func:`schema.init` runs where there is no table yet, as one transaction for psql.

    The server tells the date: a script kept under version control makes the months of the day it is run on. Run again
    it fails and changes nothing. Takes init's arguments; with *existing*, only the grants are left.

    :param transaction: False leaves BEGIN and COMMIT to a migration tool, which must run it all in one transaction.
    :raises ConfigurationError: an argument can never work.
    """
    roles = Roles(owner, writer, reader, operator)
    step = check(table, roles, id_types, partitions, existing=existing, rls=rls)
    *schema, name = table.split(".")
    relations = [identifier(table)]
    statements: list[sql.SQL | sql.Composed] = []
    if not existing:
        relations.append(sql.Identifier(*schema, table_names.view_name(name)))
        statements.append(ddl.lock_setup())
        statements.append(ddl.prepare_roles(table, owner, operator, writer=writer, reader=reader))
        statements += [ddl.create_table(table, id_types, step), ddl.create_view(*relations)]
        relations.append(sql.Identifier(*schema, table_names.retained_name(name)))
    statements += grants(roles, relations, existing=existing, rls=rls)
    return _join(table, statements, transaction=transaction)


def upgrade_script(version: int, *, table: str = "audit_log", transaction: bool = True) -> str:
    """
    Return the SQL that makes schema *version* of a table with monthly partitions that has the schema before.

    It is for the owner, who may also be one that the role which runs it may act as.

    :param transaction: False leaves BEGIN and COMMIT to a migration tool, which must run it all in one transaction.
    :raises ConfigurationError: there is no such version to upgrade to.
    """
    if not 1 < version <= ddl.VERSION:
        raise ConfigurationError(f"version is {version!r}: the schemas to upgrade to are 2 to {ddl.VERSION}")
    check_table(table)
    migrations = ddl.migrate(table, version - 1, version, check_step("monthly"))
    return _join(table, _as_owner(table, migrations), transaction=transaction)


def partitions_script(*, table: str = "audit_log", partitions: str | None = None) -> str:
    """
    Return the SQL that makes the partitions ahead which are not there, for pg_cron.

    It is for the owner, who may also be one that the role which runs it may act as.

    :param partitions: how long those of the table are, by default ``monthly``.
    """
    step = check(table, Roles(), {}, partitions, existing=False, rls=False)
    statements = _join(table, _as_owner(table, [ddl.make_partitions(step)]), transaction=False)
    return f"{template('read_committed').as_string()};\n\n{statements}"


def grants(
    roles: Roles, relations: Sequence[sql.Identifier], *, existing: bool, rls: bool
) -> Iterator[sql.SQL | sql.Composed]:
    """
    Give what the roles need: on *relations*, the table first, as the owner, and the rest as the role that connects.

    :param existing: the table is another program's.
    """
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


def check(
    table: str, roles: Roles, id_types: Mapping[str, str], partitions: str | None, *, existing: bool, rls: bool
) -> Step:
    """
    Return how long the partitions of a new table are.

    :raises ConfigurationError: an argument can never work.
    """
    check_table(table)
    roles.check(existing=existing)
    if rls and roles.reader is None:
        raise ConfigurationError("row-level security says what a reader sees: name a reader")
    if rls and existing:
        raise ConfigurationError("an existing table keeps its own policies: leave row-level security out")
    _check_id_types(id_types, existing=existing)
    if existing and partitions is not None:
        raise ConfigurationError("partitions are for a new table: an existing one keeps its own, leave the option out")
    return check_step("monthly" if partitions is None else partitions)


def _check_id_types(id_types: Mapping[str, str], *, existing: bool) -> None:
    for field, id_type in id_types.items():
        if field not in ID_FIELDS:
            raise ConfigurationError(f"id type for {field!r}: the id columns are {', '.join(sorted(ID_FIELDS))}")
        if id_type not in ddl.ID_TYPES:
            raise ConfigurationError(f"id type {id_type!r} for {field}: the types are {', '.join(ddl.ID_TYPES)}")
    if existing and id_types:
        raise ConfigurationError("id types are for a new table: an existing one keeps its own, leave them out")


def _as_owner(table: str, statements: Iterable[sql.Composed]) -> Iterator[sql.SQL | sql.Composed]:
    yield ddl.prepare_roles(table)
    yield from statements
    yield ddl.leave_owner()


def _join(table: str, statements: Iterable[sql.SQL | sql.Composed], *, transaction: bool) -> str:
    """Put *statements* between what they all need before and after them."""
    before: list[sql.SQL | sql.Composed] = [ddl.setup(table)]
    if "." in table:
        # A schema of the path may be one where others make functions, which who runs this must not call.
        before.append(sql.SQL("{};\n").format(template("qualify_names")))
    after = sql.SQL("{};\n").format(template("restore_session"))
    joined = sql.SQL("\n").join([*before, *statements, after])
    names = {"statements": joined, "read_committed": template("read_committed")}
    return (template("script").format(**names) if transaction else joined).as_string()
