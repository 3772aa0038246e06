"""The relation that is read, as the catalog describes it: a table, partitioned or not, or a view."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import sql

from .audit_event import AuditEvent
from .errors import SchemaError
from .question import Condition, Question, Range
from .reading import Reader, find_table
from .setup_commands import make_command
from .sql import template, with_parameters

_ORDERED_BY = ("occurred_at", "id")
_MOST_EDGES = 8


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or view as it is: its columns, by the name that their values have in an event."""

    name: str
    identifier: sql.Identifier
    columns: Mapping[str, str]
    edges: tuple[datetime, ...]
    """The times where its partitions begin and end to be contiguous, oldest first; none if it needs no cutting."""

    def select(self, question: Question, stretch: Range) -> sql.Composed:
        """Return the statement that asks for the events of *question* in *stretch*."""
        order = "timeline_oldest_first" if question.reverse else "timeline_newest_first"
        conditions = [*question.conditions(), *_conditions(stretch)]
        return template("timeline").format(
            table=self.identifier,
            columns=self._columns(),
            conditions=sql.Composed([self._condition(condition) for condition in conditions]),
            order=template(order).format(**self._order()),
        )

    def select_one(self) -> sql.Composed:
        """Return the statement that asks for the event of an id."""
        return template("timeline_event").format(table=self.identifier, columns=self._columns(), id=self._column("id"))

    def events(self, rows: Iterable[tuple[Any, ...]]) -> Iterator[AuditEvent]:
        """Return the events of *rows*, as a statement of this relation gave them."""
        for row in rows:
            values = dict(zip(self.columns, row, strict=True))
            if values.get("metadata", ()) is None:
                values["metadata"] = {}
            if values.get("source_ip") is not None:
                values["source_ip"] = _address(values["source_ip"])
            yield AuditEvent.from_row(values)

    def _condition(self, condition: Condition) -> sql.Composed:
        return template(condition.statement).format(
            column=self._column(condition.field), value=sql.Placeholder(condition.parameter), **self._order()
        )

    def _order(self) -> dict[str, sql.Composable]:
        return {field: self._column(field) for field in _ORDERED_BY}

    def _columns(self) -> sql.Composed:
        return sql.SQL(", ").join(map(_identifier, self.columns.values()))

    def _column(self, field: str) -> sql.SQL:
        if field not in self.columns:
            raise SchemaError(
                f"table {self.name} has no column {field}: if it has another name there, "
                f'say so with columns={{"{field}": "other_name"}} (on the command line --column {field}=other_name)'
            )
        return _identifier(self.columns[field])


def find_relation(reader: Reader, table: str, columns: Mapping[str, str]) -> Relation:
    """
    Return the relation *table*, ``name`` or ``schema.name``.

    :param columns: our field → its column, where the names differ.
    :raises SchemaError: there is none, or it lacks one of *columns*.
    """
    found = find_table(reader.connection, table)
    if found is None:
        info = reader.connection.info
        raise SchemaError(
            f"no table {table} in database {info.dbname} that role {info.user} finds: run {make_command(table)}, "
            "or name the table as schema.name"
        )
    place = {"schema": found[0], "name": found[1]}
    reader.execute(template("timeline_columns"), place, prepare=False)
    mapped = _mapped([row[0] for row in reader], columns, table)
    reader.execute(template("timeline_edges"), place | {"column": mapped.get("occurred_at")}, prepare=False)
    return Relation(table, sql.Identifier(*found), mapped, _edges(row[0] for row in reader))


def _edges(found: Iterable[datetime | str]) -> tuple[datetime, ...]:
    # A text is a time beyond Python's calendar: infinity.
    edges = tuple(edge for edge in found if isinstance(edge, datetime))
    return edges if len(edges) <= _MOST_EDGES else (edges[0], edges[-1])


def _mapped(names: Sequence[str], columns: Mapping[str, str], table: str) -> dict[str, str]:
    theirs = set(columns.values())
    if missing := theirs.difference(names):
        raise SchemaError(
            f"table {table} has no column {min(missing)}: correct the option columns (on the command line --column)"
        )
    return {name: name for name in names if name not in theirs} | dict(columns)


def _address(value: Any) -> str:
    """Return an address as PostgreSQL writes it; Python before 3.13 knows no ``::ffff:192.0.2.1``."""
    mapped = getattr(value, "ipv4_mapped", None)
    address, *mask = str(value).split("/")
    return "/".join([address if mapped is None else f"::ffff:{mapped}", *mask])


def _conditions(stretch: Range) -> Iterator[Condition]:
    if stretch.lower is not None:
        yield Condition("timeline_from", "occurred_at", "lower")
    if stretch.upper is not None:
        yield Condition("timeline_before", "occurred_at", "upper")


def _identifier(column: str) -> sql.SQL:
    return with_parameters(sql.Identifier("event", column))
