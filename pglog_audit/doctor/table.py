"""The table: whose it is, what it has columns for, and what a line that comes twice makes."""

from .. import schema
from ..audit_event import EVENT_FIELDS
from ..event import WRITER_FIELDS
from ..finding import Finding
from .subject import Subject

_ALWAYS_FILLED = ("occurred_at", "action", "outcome", "metadata", "writer_id", "writer_seq")
"""Fields that each event has, whatever the log call gives."""


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
    if found == schema.VERSION:
        return Finding.ok("table", text)
    newer = found > schema.VERSION
    advice = "Upgrade pglog-audit here." if newer else f"As {subject.owner}: {subject.command('upgrade')}"
    text = f"{text}, {'newer' if newer else 'older'} than {schema.VERSION}"
    if abs(found - schema.VERSION) == 1:
        return Finding.ok("table", f"{text}, which works", advice)
    return Finding.wrong("table", text, advice)


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
    rows = subject.ask("doctor_required", filled=filled, id=subject.column("id"))
    if not rows:
        return Finding.ok("required", "no column that an event may leave out is NOT NULL without a default")
    relation = rows[0]["relation"]
    names = [row["name"] for row in rows if row["relation"] == relation]
    drops = ", ".join(f"ALTER COLUMN {name} DROP NOT NULL" for name in names)
    where = "" if relation == subject.name else f" in {relation}"
    return Finding.wrong(
        "required",
        f"NOT NULL without a default{where}: {', '.join(names)}. Events that give no value there are refused and lost",
        f"Give each a default; or as {subject.owner}: ALTER TABLE {relation} {drops};",
    )


def check_values(subject: Subject) -> Finding:
    """Tell whether a column of ours says what neither the event nor the server's clock said."""
    if gone := sorted(WRITER_FIELDS - {"id"} - subject.existing_columns):
        text = f"{', '.join(gone)} is gone: it says who wrote an event, or when it was stored"
        return Finding.wrong("values", text, "Add it again, as pglog-audit sql writes it.")
    rows = subject.ask("doctor_values", ours=list(EVENT_FIELDS), retained=subject.retained)
    if not rows:
        return Finding.ok("values", "recorded_at is the server's clock, and what an event leaves out stays empty")
    first = rows[0]
    more = f", and {len(rows) - 1} more" if len(rows) > 1 else ""
    return Finding.wrong(
        "values",
        f"{first['name']} of {first['relation']} {first['what']}{more}",
        f"Rows say there what nobody logged, or not what was. As init makes it, as {subject.owner}: "
        f"ALTER TABLE {first['relation']} {first['remedy']};",
    )


def check_unlogged(subject: Subject) -> Finding:
    """Tell which tables a crash of the server would empty."""
    names = [row["relation"] for row in subject.ask("doctor_unlogged", retained=subject.retained)]
    if not names:
        return Finding.ok("unlogged", "none: what is stored outlives a crash of the server")
    logged = " ".join(f"ALTER TABLE {name} SET LOGGED;" for name in names)
    return Finding.wrong(
        "unlogged",
        f"{', '.join(names)} is UNLOGGED: a crash of the server empties it, and no replica has its rows",
        f"As {subject.owner}: {logged}",
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
