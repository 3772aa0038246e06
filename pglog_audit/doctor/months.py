"""The months of the table, and the rows of months that it lacks."""

from collections.abc import Iterator, Mapping
from typing import Any

from psycopg import sql

from ..finding import Finding
from ..sql import template
from . import guards
from .subject import Subject

_FEW_MONTHS = 3
_COUNTED = 1000
"""Rows of the default partition that are counted; it may hold millions."""


def check_months(subject: Subject) -> Finding:
    """Tell for how many whole months after this one there are partitions."""
    [row] = subject.ask_of_bounds("doctor_months")
    ahead = row["ahead"]
    text = f"partitions for {_months(ahead)} after this one" if ahead >= 0 else "no partition for this month"
    advice = (
        "Rows of later months go to the default partition, where they are in the way of their month: "
        f"as {subject.owner}, make months now, as pglog-audit sql does."
    )
    if ahead <= 0:
        return Finding.wrong("months", text, advice)
    return Finding.ok("months", text, advice if ahead < _FEW_MONTHS else None)


def _months(count: int) -> str:
    return "1 month" if count == 1 else f"{count} months"


def check_default_rows(subject: Subject) -> Finding:
    """Tell whether rows lie in the default partition, and whether they are in the way of a month."""
    found = subject.ask_of_bounds("doctor_default")
    if not found:
        return Finding.wrong(
            "default rows",
            "there is no default partition",
            "Events of a month without a partition are refused: make it again, as pglog-audit sql does.",
        )
    default = found[0]
    if not default["readable"]:
        return Finding.hidden("default rows", "not visible to this role: it may not read the default partition")
    late, past = _count(subject, default)
    if late:
        text = f"{_number(late)} in {default['name']}: their months have no partition"
        return Finding.wrong("default rows", text, _advice(subject, default))
    if past:
        text = f"{_number(past)} in {default['name']}, all from before the first month"
        return Finding.ok("default rows", text, "Events of the past are kept there, and found like all others.")
    return Finding.ok("default rows", "none: each row lies in the partition of its month")


def _count(subject: Subject, default: Mapping[str, Any]) -> tuple[int, int]:
    """Return how many rows lie in a month that should be there, and how many before all months."""
    statement = template("doctor_default_rows").format(**_names(subject, default))
    row = subject.connection.execute(statement, {"since": default["since"], "limit": _COUNTED + 1}).fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


def _number(count: int) -> str:
    return str(count) if count <= _COUNTED else f"more than {_COUNTED}"


def _names(subject: Subject, default: Mapping[str, Any]) -> dict[str, sql.Composable]:
    return {
        "partition": sql.Identifier(default["schema"], default["name"]),
        "time": sql.Identifier(subject.column("occurred_at")),
    }


def _advice(subject: Subject, default: Mapping[str, Any]) -> str:
    kept = sql.Identifier(default["schema"], f"{default['name']}_moved")
    advice = (
        "They are found like all others, but their months cannot be made while they lie there. "
        f"As {subject.owner}, moves them; then compare, and drop {kept.as_string()}:"
    )
    return f"{advice}\n{_move(subject, default, kept)}"


def _move(subject: Subject, default: Mapping[str, Any], kept: sql.Identifier) -> str:
    """Return the transaction that makes the months which the default partition holds rows of, and moves these."""
    names = _names(subject, default)
    partition = names["partition"].as_string()
    function = guards.find_function(subject)
    made = [*_make_months(subject, default, function), *guards.make(function, partition, "refuse_truncate")]
    text = template("doctor_move_rows").format(
        table=sql.SQL(subject.name),
        partition=names["partition"],
        kept=kept,
        kept_name=sql.Identifier(f"{default['name']}_moved"),
        made=sql.SQL("\n".join(made)),
    )
    return text.as_string().partition("\n")[2].strip()


def _make_months(subject: Subject, default: Mapping[str, Any], function: guards.GuardFunction) -> Iterator[str]:
    statement = template("doctor_default_months").format(**_names(subject, default))
    prefix = default["name"].removesuffix("_default")
    for suffix, begin, end in subject.connection.execute(statement, {"since": default["since"]}).fetchall():
        month = sql.Identifier(default["schema"], f"{prefix}_{suffix}")
        bounds = {"begin": sql.Literal(begin), "end": sql.Literal(end)}
        text = template("doctor_make_month").format(month=month, table=sql.SQL(subject.name), **bounds)
        yield text.as_string().partition("\n")[2].strip()
        yield from guards.make(function, month.as_string(), "refuse_truncate")
