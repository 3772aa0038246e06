"""The partitions ahead, and the rows of those that the table lacks."""

from datetime import UTC, datetime

from psycopg import Cursor, sql
from psycopg.rows import dict_row, tuple_row

from ..finding import Finding
from ..maintenance import MAX_FAR
from ..sql import template
from .subject import Subject

_COUNTED = 1000
"""Rows of the default partition that are counted; it may hold millions."""
_END_OF_TIME = datetime(9999, 1, 1, tzinfo=UTC)
"""From then on maintain makes no partition."""


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
    partition = sql.Identifier(default["schema"], default["name"])
    far = _reach(subject, partition)
    late, beyond, past = _count(subject, partition, default["since"], far)
    unit = subject.step.unit
    if late:
        text = f"{_number(late)} in {default['name']}: their {unit}s have no partition"
        advice = f"They are found like all others, but a {unit} that has rows there is slow to make. This moves them."
        return Finding.wrong("default rows", text, f"{advice}\n{subject.maintain()}")
    if beyond:
        time = subject.column("occurred_at")
        text = f"{_number(beyond)} in {default['name']}, of a future so far that maintain makes no {unit}s for it"
        advice = (
            "Somebody made them up, or a clock was wrong: they stay there, and are found like all others. This shows "
            "them.\n"
            f"SELECT * FROM {subject.name} WHERE {time} >= '{far:%Y-%m-%d}Z' ORDER BY {time} LIMIT 100;"
        )
        return Finding.ok("default rows", text, advice)
    if past:
        text = f"{_number(past)} in {default['name']}, all from before the first {unit}"
        return Finding.ok("default rows", text, "Events of the past are kept there, and found like all others.")
    return Finding.ok("default rows", f"none: each row lies in the partition of its {unit}")


def check_publications(subject: Subject) -> Finding:
    """Tell which publications send events by the names of partitions, of which a subscriber does not know new ones."""
    names = [row["name"] for row in subject.ask("doctor_publications")]
    unit = subject.step.unit
    if not names:
        return Finding.ok("publications", f"none that sends each {unit} by its own name")
    return Finding.ok(
        "publications",
        f"{', '.join(names)} sends each {unit} by its own name: who subscribes gets no events of those made since",
        f"To send them by the table's: ALTER PUBLICATION {names[0]} SET (publish_via_partition_root = true); then, at "
        "the subscriber, ALTER SUBSCRIPTION … REFRESH PUBLICATION WITH (copy_data = false);",
    )


def _reach(subject: Subject, partition: sql.Identifier) -> datetime:
    """Return since when maintain makes no partitions for rows of *partition*."""
    step = subject.step
    [row] = subject.ask_of_bounds("server_time")
    ahead = step.after(step.begin(row["now"]), step.ahead + 1)
    statement = template("occupied_periods").format(partition=partition)
    cursor = Cursor(subject.connection, row_factory=dict_row)
    with subject.connection.transaction():
        cursor.execute(template("read_only"))
        cursor.execute(statement, {"unit": step.unit, "since": ahead, "until": _END_OF_TIME})
        far = len(cursor.fetchall())
    far += sum((each["begins"] or ahead) > ahead for each in subject.ask_of_bounds("partitions"))
    return _END_OF_TIME if far <= MAX_FAR else ahead


def _count(subject: Subject, partition: sql.Identifier, since: float, far: datetime) -> tuple[int, int, int]:
    """Return how many rows lie in a month that should be there, how many in none of them, and how many before all."""
    names = {"partition": partition, "time": sql.Identifier(subject.column("occurred_at"))}
    statement = template("doctor_default_rows").format(**names)
    asked = {"since": since, "far": far, "limit": _COUNTED + 1}
    [row] = Cursor(subject.connection, row_factory=tuple_row).execute(statement, asked).fetchall()
    return row


def _number(count: int) -> str:
    return str(count) if count <= _COUNTED else f"more than {_COUNTED}"
