"""The partitions ahead, and the rows of those that the table lacks."""

from collections.abc import Mapping
from typing import Any

from psycopg import sql

from ..finding import Finding
from ..maintenance import MAX_FAR
from ..sql import template
from .subject import Subject

_COUNTED = 1000
"""Rows of the default partition that are counted; it may hold millions."""


def check_months(subject: Subject) -> Finding:
    """Tell for how many whole months, or days or years, after this one there are partitions."""
    step = subject.step
    [row] = subject.ask_of_bounds("doctor_months", unit=step.unit, step=f"1 {step.unit}")
    ahead = row["ahead"]
    number = f"1 {step.unit}" if ahead == 1 else f"{ahead} {step.unit}s"
    text = f"partitions for {number} after this one" if ahead >= 0 else f"no partition for this {step.unit}"
    advice = f"Rows of later {step.unit}s go to the default partition. This makes partitions.\n{subject.maintain()}"
    if ahead <= 0:
        return Finding.wrong("months", text, advice)
    return Finding.ok("months", text, advice if ahead < step.few else None)


def check_default_rows(subject: Subject) -> Finding:
    """Tell whether rows lie in the default partition, and whether they are in the way of a month."""
    found = subject.ask_of_bounds("doctor_default", unit=subject.step.unit)
    if not found:
        advice = f"Events of a month without a partition are refused. This makes it again.\n{subject.maintain()}"
        return Finding.wrong("default rows", "there is no default partition", advice)
    default = found[0]
    if not default["readable"]:
        return Finding.hidden("default rows", "not visible to this role: it may not read the default partition")
    late, past = _count(subject, default)
    if late:
        unit = subject.step.unit
        text = f"{_number(late)} in {default['name']}: their {unit}s have no partition"
        advice = (
            f"They are found like all others, but a {unit} that has rows there is slow to make. This moves them; if a "
            f"clock was wrong or somebody made them up, of at most {MAX_FAR} {unit}s of the future."
        )
        return Finding.wrong("default rows", text, f"{advice}\n{subject.maintain()}")
    if past:
        text = f"{_number(past)} in {default['name']}, all from before the first {subject.step.unit}"
        return Finding.ok("default rows", text, "Events of the past are kept there, and found like all others.")
    return Finding.ok("default rows", f"none: each row lies in the partition of its {subject.step.unit}")


def _count(subject: Subject, default: Mapping[str, Any]) -> tuple[int, int]:
    """Return how many rows lie in a month that should be there, and how many before all months."""
    names = {
        "partition": sql.Identifier(default["schema"], default["name"]),
        "time": sql.Identifier(subject.column("occurred_at")),
    }
    statement = template("doctor_default_rows").format(**names)
    row = subject.connection.execute(statement, {"since": default["since"], "limit": _COUNTED + 1}).fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


def _number(count: int) -> str:
    return str(count) if count <= _COUNTED else f"more than {_COUNTED}"
