"""
The audit table, as the catalog describes it to this role.

The table is the schema: what is written are the columns that it has and that the role may insert into, in their own
types. So the same statement serves the full table, one with a user's own columns, and a narrow one of another program.
"""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, TypeVar

from psycopg import Connection, Cursor, sql
from psycopg.rows import tuple_row

from . import diagnostics
from .column_types import check_of
from .errors import SchemaError
from .event import CALLER_FIELDS, WRITER_FIELDS
from .setup_commands import init_command, make_command
from .sql import template, with_parameters
from .table_comment import read_version

T = TypeVar("T")
_FIELDS = CALLER_FIELDS | WRITER_FIELDS
_NEVER_WRITTEN = "recorded_at"
_SENT_AS = {"occurred_at": "pg_catalog.float8", "metadata": "pg_catalog.jsonb"}


@dataclass(frozen=True, slots=True)
class Column:
    """A column that the writer may fill."""

    name: str
    type: str
    """As SQL writes it, with its schema."""
    default: str | None
    """The expression, as SQL."""
    base: str | None
    """The type's name in pg_type; None for a domain or a type with a modifier."""
    is_constrained: bool = False
    """Whether a constraint of the table's speaks of it."""
    is_required: bool = False
    """Whether a row must have a value of ours there."""

    def takes(self, value: Any) -> bool:
        """Tell whether the column's type can hold *value* of a line; True where we do not know."""
        check = check_of(self.type, self.base)
        return value is None or check is None or check(value)

    @property
    def is_understood(self) -> bool:
        """Whether we know all of its rules: no constraint, and a type whose values we can tell."""
        is_known = self.base in ("json", "jsonb") or check_of(self.type, self.base) is not None
        return (self.is_free_text or is_known) and not self.is_constrained

    @property
    def is_free_text(self) -> bool:
        """Whether every text fits."""
        return self.base == "text" or (self.base == "varchar" and self.type == "character varying")


@dataclass(frozen=True)
class Table:
    """The columns that the writer fills, by field; and the statement that fills them."""

    schema: str
    name: str
    fields: Mapping[str, Column]
    """Our fields' columns."""
    user_columns: Mapping[str, Column]
    """The columns that are none of ours."""
    encoding: str = "UTF8"
    """The database's, as PostgreSQL names it."""

    @property
    def is_numbered(self) -> bool:
        """Whether rows say which writer they are from, and with which number."""
        return {"writer_id", "writer_seq"} <= self.fields.keys()

    @property
    def homeless(self) -> list[str]:
        """Our fields whose column is gone or closed though the table is ours: their values go to the metadata."""
        return sorted(CALLER_FIELDS - self.fields.keys()) if "writer_seq" in self.fields else []

    def insert(
        self, statement: str = "insert_events", *, are_new: bool = False, left_out: frozenset[str] | None = None
    ) -> sql.Composed:
        """
        Return *statement*, by its name, which makes rows of the JSON array ``%(lines)s``.

        :param are_new: no line can be a row: there is no need to look, which takes a tenth of the server's time.
        :param left_out: of a line that stands alone, what :meth:`left_out` says.
        """
        values = [(column, self._value(field, column)) for field, column in _filled(self.fields, left_out)]
        values += [
            (column, _with_default(_of("extra", name), column)) for name, column in _filled(self.user_columns, left_out)
        ]
        return template(statement).format(
            table=with_parameters(sql.Identifier(self.schema, self.name)),
            columns=sql.SQL(", ").join(_name(column.name) for column, _ in values),
            values=sql.SQL(", ").join(value for _, value in values),
            definitions=_definitions({**self.fields, **dict.fromkeys(self.homeless, _EXTRA), "extra": _EXTRA}),
            user_columns=self._user_columns(),
            on_conflict=sql.SQL("") if are_new else sql.SQL("\n") + template("insert_no_second"),
        )

    def left_out(self, line: Mapping[str, Any]) -> frozenset[str]:
        """
        Return the columns that *line* leaves to the server, which knows what a default has meant since it was made.

        Written out in a statement, its names would be looked up in the session's search path.
        """
        places = ((self.fields, line), (self.user_columns, line.get("extra") or {}))
        return frozenset(
            column.name
            for columns, values in places
            for name, column in columns.items()
            if column.default is not None and values.get(name) is None and name != "metadata"
        )

    def _user_columns(self) -> sql.Composable:
        if not self.user_columns:
            return sql.SQL("")
        join = template("insert_user_columns").format(definitions=_definitions(self.user_columns))
        return sql.SQL("\n") + join

    def _value(self, field: str, column: Column) -> sql.Composable:
        value: sql.Composable = _of("line", field)
        if field == "occurred_at":
            value = sql.SQL("pg_catalog.to_timestamp({})").format(value)
            if column.type.endswith(" without time zone"):
                value = sql.SQL("({} AT TIME ZONE 'UTC')").format(value)
            return value
        if field == "metadata":
            return self._metadata(column)
        return _with_default(value, column)

    def _metadata(self, column: Column) -> sql.Composable:
        """Merge what has no column into the metadata, where a key of the same name wins."""
        return sql.SQL(
            "({homeless}CASE WHEN line.extra IS NULL THEN COALESCE(line.metadata, '{{}}')"
            " ELSE (line.extra OPERATOR(pg_catalog.-) {names}::pg_catalog.text[])"
            " OPERATOR(pg_catalog.||) COALESCE(line.metadata, '{{}}') END)::{type}"
        ).format(
            homeless=sql.SQL("").join(map(_as_object, self.homeless)),
            names=_verbatim(sql.Literal(list(self.user_columns)).as_string()),
            type=_verbatim(column.type),
        )


_EXTRA = Column("extra", "pg_catalog.jsonb", None, "jsonb")


def _filled(columns: Mapping[str, Column], left_out: frozenset[str] | None) -> Iterator[tuple[str, Column]]:
    for name, column in columns.items():
        if left_out is None:
            yield name, column
        elif column.name not in left_out:
            yield name, replace(column, default=None)


def _as_object(field: str) -> sql.Composed:
    return sql.SQL(
        "CASE WHEN {0} IS NULL THEN '{{}}' ELSE pg_catalog.jsonb_build_object({1}, {0}) END OPERATOR(pg_catalog.||) "
    ).format(_of("line", field), sql.Literal(field))


def describe(connection: Connection[Any], table: str, columns: Mapping[str, str], named_by: str = "") -> Table:
    """
    Read *table*, written ``name`` or ``schema.name``, from the catalog, as an INSERT-only role may.

    :param columns: our field to the column that it has there.
    :param named_by: where the database's name comes from, for the errors: see :func:`~.conninfo.name_source`.
    :raises SchemaError: there is no such table, or nothing that this role may write.
    """
    database = f"{connection.info.dbname}{named_by}"
    steps = description(table, columns, role=connection.info.user, database=database)
    with connection.transaction(), Cursor(connection, row_factory=tuple_row) as cursor:
        return answer(steps, lambda query, parameters: cursor.execute(query, parameters).fetchall())


Rows: TypeAlias = Sequence[Sequence[Any]]
Steps: TypeAlias = Generator[tuple[sql.SQL | sql.Composed, Mapping[str, Any]], Rows, T]
"""Statements with their parameters, each of which wants its rows before the next; in the end their result."""


def answer(steps: Steps[T], execute: Callable[[Any, Any], Rows]) -> T:
    """Return the result of *steps*, whose statements *execute* runs."""
    try:
        statement = next(steps)
        while True:
            statement = steps.send(execute(*statement))
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return] # the result of steps


def description(table: str, columns: Mapping[str, str], *, role: str, database: str) -> Steps[Table]:
    """
    Read *table* in a transaction, as :func:`describe` does, on a connection of any kind.

    :param role: who asks, and in which *database*: for the errors.
    :raises SchemaError: there is no such table, it takes no rows, or has nothing that this role may write.
    """
    schema, _, name = table.rpartition(".")
    database = f"database {database}"
    found = yield template("find_table"), {"schema": schema or None, "name": name}
    if not found:
        elsewhere = yield template("find_elsewhere"), {"name": name}
        raise SchemaError(_missing(role, table, database, [row[0] for row in elsewhere]))
    [place] = found
    [[path, encoding]] = yield template("show_path"), {}
    yield template("set_path"), {"path": "pg_catalog, pg_temp"}
    rows = yield template("writer_columns"), {"schema": place[0], "name": place[1]}
    yield template("set_path"), {"path": path}
    usable = {row[0]: Column(*row[:6]) for row in rows if row[6]}
    action = columns.get("action", "action")
    for name, *_, is_usable, kind in rows:
        if kind and name != _NEVER_WRITTEN and (is_usable or action not in usable):
            raise SchemaError(
                f"{table} in {database} is {kind} that takes no events: name the table behind it with the option table"
            )
    if action not in usable:
        if action not in {row[0] for row in rows}:
            raise SchemaError(
                f"table {table} in {database} has no column action, so it is another program's: "
                "name yours with the option table"
            )
        [[comment]] = yield template("find_comment"), {"schema": place[0], "name": place[1]}
        raise SchemaError(_closed(role, table, database, is_ours=read_version(comment) is not None))
    return replace(_table(place[0], place[1], usable, columns), encoding=encoding)


def _missing(role: str, table: str, database: str, elsewhere: Sequence[str]) -> str:
    """Return what to say where *table* is not found, though schemas *elsewhere* may have one of that name."""
    if not elsewhere:
        return f"there is no table {table} in {database}: run '{make_command(table)}', or name the database that has it"
    name = table.rpartition(".")[2]
    return (
        f"there is no table {table} that role {role} finds in {database}, but one in schema {', '.join(elsewhere)}: "
        f"say table='{elsewhere[0]}.{name}', or GRANT USAGE on that schema"
    )


def _closed(role: str, table: str, database: str, *, is_ours: bool) -> str:
    existing = "" if is_ours else " --existing"
    return (
        f"role {role} may not insert into {table} in {database}: "
        f"run '{init_command(table)}{existing} --writer {role}' as the table's owner"
    )


def _table(schema: str, name: str, usable: dict[str, Column], columns: Mapping[str, str]) -> Table:
    missing = sorted(set(columns.values()) - usable.keys())
    if missing:
        raise SchemaError(f"table {schema}.{name} has no column {', '.join(missing)} that this role may write")
    fields = {
        field: usable[columns.get(field, field)] for field in sorted(_FIELDS) if columns.get(field, field) in usable
    }
    fields.pop(_NEVER_WRITTEN, None)
    if "id" in fields and fields["id"].base != "uuid":
        del fields["id"]
    own = {column.name for column in fields.values()} | _FIELDS
    if "metadata" not in fields:
        diagnostics.warn(
            "no metadata", "Table %s.%s has no column for metadata: what stands there is not stored", schema, name
        )
    described = Table(schema, name, fields, {name: column for name, column in usable.items() if name not in own})
    if described.homeless:
        text = "Table %s.%s has no column %s that this role may write: such values are stored in the metadata"
        diagnostics.warn("homeless", text, schema, name, ", ".join(described.homeless))
    return described


def _of(source: str, name: str) -> sql.Composed:
    return sql.SQL("{}.{}").format(_name(source), _name(name))


def _definitions(columns: Mapping[str, Column]) -> sql.Composed:
    types = {name: _SENT_AS.get(name, column.type) for name, column in columns.items()}
    return sql.SQL(", ").join(sql.SQL("{} {}").format(_name(name), _verbatim(kind)) for name, kind in types.items())


def _with_default(value: sql.Composable, column: Column) -> sql.Composable:
    if column.default is None:
        return value
    return sql.SQL("COALESCE({}, {})").format(value, _verbatim(column.default))


def _name(name: str) -> sql.SQL:
    return _verbatim(sql.Identifier(name).as_string())


def _verbatim(text: str) -> sql.SQL:
    """Return SQL that the server itself has spelled, or psycopg, which takes any percent sign for a parameter."""
    return sql.SQL(text.replace("%", "%%"))
