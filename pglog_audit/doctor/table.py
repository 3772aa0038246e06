"""The table: whose it is, what it has columns for, its months, and the triggers that guard it."""

import re

from psycopg import sql

from .. import schema
from ..finding import Finding
from ..sql import template
from .subject import Subject

_GUARD_BODY = re.compile(r"\$guard\$(.*?)\$guard\$", re.DOTALL)
_FEW_MONTHS = 3
_COUNTED = 1000
"""Rows of the default partition that are counted; it may hold millions."""
_ALWAYS_FILLED = ("occurred_at", "action", "outcome", "metadata", "writer_id", "writer_seq")
"""Fields that each event has, whatever the log call gives."""
_WHENS = {
    "refuse_change": "BEFORE UPDATE OR DELETE ON {} FOR EACH ROW",
    "refuse_truncate": "BEFORE TRUNCATE ON {} FOR EACH STATEMENT",
}


def check_schema(subject: Subject, *, existing: bool) -> Finding:
    """Tell whether the table is ours, and of the version that this package makes."""
    found = subject.version
    if found is None and existing:
        return Finding.ok("table", f"{subject.name} is another program's and used as it is")
    if found is None:
        return Finding.wrong(
            "table",
            f"{subject.name} was not made by pglog-audit",
            "If it shall be used as it is, add --existing; else give another --table, or run pglog-audit init there.",
        )
    text = f"{subject.name} has schema {found}"
    if found > schema.VERSION:
        return Finding.wrong("table", f"{text}, newer than {schema.VERSION}", "Upgrade pglog-audit here.")
    if found < schema.VERSION:
        return Finding.wrong("table", f"{text}, older than {schema.VERSION}", "Run pglog-audit init as its owner.")
    return Finding.ok("table", text)


def check_columns(subject: Subject) -> Finding:
    """Tell which fields of an event the table has no column for."""
    missing = subject.fields_without_column()
    if not missing:
        return Finding.ok("columns", "every field has one")
    text = f"none for {', '.join(missing)}"
    if subject.is_ours:
        advice = "Values of these fields go to the metadata: add the columns again, as pglog-audit sql writes them."
        return Finding.wrong("columns", text, advice)
    if "action" in missing:
        return Finding.wrong("columns", text, "Without a column action no event is written: add it, of type text.")
    advice = "These fields are left out, and no rows about the trail itself (audit.*) are written."
    return Finding.ok("columns", text, advice)


def check_required(subject: Subject) -> Finding:
    """Tell which columns refuse an event that does not name them."""
    filled = [subject.column(field) for field in _ALWAYS_FILLED]
    names = [row["name"] for row in subject.ask("doctor_required", filled=filled, id=subject.column("id"))]
    if not names:
        return Finding.ok("required", "no column that an event may leave out is NOT NULL without a default")
    drops = ", ".join(f"ALTER COLUMN {name} DROP NOT NULL" for name in names)
    return Finding.wrong(
        "required",
        f"NOT NULL without a default: {', '.join(names)}. Events that give no value there are refused and lost",
        f"Give each a default; or as {subject.owner}: ALTER TABLE {subject.name} {drops};",
    )


def check_retries(subject: Subject) -> Finding:
    """Tell whether a line that is sent twice, as after a broken connection, makes a second row."""
    keys = [subject.column("id"), subject.column("occurred_at")]
    rows = subject.ask("doctor_retry_key", id=keys[0], columns=keys)
    if rows:
        return Finding.ok("retries", "a line that is sent twice makes one row")
    text = "a line that is sent twice makes two rows: no column id of type uuid has a unique index"
    if subject.is_ours:
        return Finding.wrong(
            "retries", text, f"Add the key again: ALTER TABLE {subject.name} ADD PRIMARY KEY ({', '.join(keys)});"
        )
    return Finding.ok("retries", text, "Delivery is at-least-once: after a broken connection a batch is sent again.")


def check_guards(subject: Subject) -> Finding:
    """Tell whether triggers refuse changes on the table and on each partition, for replication roles too."""
    rows = subject.ask("doctor_guards", body=_guard_body())
    faults = [(row["relation"], row["guard"], row["fault"]) for row in rows if row["fault"]]
    if not faults:
        return Finding.ok("guards", f"UPDATE, DELETE and TRUNCATE are refused, on {len(rows) // 2 - 1} partitions too")
    relation, guard, fault = faults[0]
    more = f", and {len(faults) - 1} more are not in order" if len(faults) > 1 else ""
    return Finding.wrong("guards", f"trigger {guard} on {relation} {fault}{more}", _guard_advice(subject, *faults[0]))


def _guard_body() -> str:
    """Return the body of the function that the triggers call, from the migration that makes it."""
    match = _GUARD_BODY.search(template("migrations/0001_audit_log").as_string())
    if match is None:
        raise LookupError("migrations/0001_audit_log.sql has no body between $guard$ and $guard$")
    return match[1]


def _guard_advice(subject: Subject, relation: str, guard: str, fault: str) -> str:
    if fault.startswith("does not call"):
        return "Rows may have been changed since. Make function and trigger again, as pglog-audit sql writes them."
    always = f"ALTER TABLE {relation} ENABLE ALWAYS TRIGGER {guard}"
    if fault.startswith("is not"):
        return f"Rows may have been changed since. As {subject.owner}: {always};"
    create = f"CREATE TRIGGER {guard} {_WHENS[guard].format(relation)} EXECUTE FUNCTION …_append_only()"
    return f"Rows may have been changed since. As {subject.owner}: {create}; {always};"


def check_months(subject: Subject) -> Finding:
    """Tell for how many whole months after this one there are partitions."""
    [row] = subject.ask("doctor_months")
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
    """Tell whether rows lie in the default partition."""
    found = subject.ask("doctor_default")
    if not found:
        return Finding.wrong(
            "default rows",
            "there is no default partition",
            "Events of a month without a partition are refused: make it again, as pglog-audit sql does.",
        )
    if not found[0]["readable"]:
        return Finding.hidden("default rows", "not visible to this role: it may not read the default partition")
    count = _count(subject, found[0]["schema"], found[0]["name"])
    if not count:
        return Finding.ok("default rows", "none: each row lies in the partition of its month")
    number = str(count) if count <= _COUNTED else f"more than {_COUNTED}"
    return Finding.wrong(
        "default rows",
        f"{number} in {found[0]['name']}: their months have no partition",
        "They are found like all others, but no partition of their months can be made while they lie there.",
    )


def _count(subject: Subject, *partition: str) -> int:
    statement = template("doctor_default_rows").format(partition=sql.Identifier(*partition))
    row = subject.connection.execute(statement, {"limit": _COUNTED + 1}).fetchone()
    return int(row[0]) if row else 0
