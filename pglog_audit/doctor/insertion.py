"""Inserting: what could keep a row out, and the proof that one gets in."""

import json
import time
from typing import Any
from uuid import uuid4

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row
from uuid_utils import uuid7

from .. import catalog
from ..errors import SchemaError
from ..finding import Finding
from ..sql import template
from ..verdict import READ_ONLY, words
from .planted import PlantedError, refuse_planted
from .privileges import NAME_THE_WRITER
from .subject import Subject

_TIMEOUTS = {"lock_timeout": "5000", "statement_timeout": "10000"}
_ADVICE = {
    "25006": READ_ONLY,
    "42501": "See grants and row security above.",
    "55P03": "Somebody holds a lock on the table: look into pg_locks.",
    "57014": "The server took more than 10 s for one row: look into pg_stat_activity.",
    "23502": "See required above.",
    "23514": "No partition takes today's rows, or a constraint of yours refuses them.",
}
_OTHERWISE = "The writer's rows meet the same: events wait or are lost until it is mended."


def check_unique_indexes(subject: Subject) -> Finding:
    """Tell which unique indexes besides the key keep out rows that are no repetitions."""
    extra = subject.ask("doctor_uniques", id=subject.column("id"))
    if not extra:
        return Finding.ok("unique indexes", "none that keeps out a row")
    first = extra[0]
    drop = f"DROP INDEX {first['index']};"
    if first["constraint"]:
        drop = f"ALTER TABLE {first['relation']} DROP CONSTRAINT {first['constraint']};"
    return Finding.wrong(
        "unique indexes",
        f"{', '.join(row['index'] for row in extra)} keeps out rows: they are lost, counted as conflict",
        f"Let a plain index take its place. {drop}",
    )


def check_foreign_keys(subject: Subject) -> Finding:
    """Tell which foreign keys tie the rows to what they are about."""
    rows = subject.ask("doctor_foreign_keys")
    if not rows:
        return Finding.ok("foreign keys", "none: what an event is about may be deleted")
    first = rows[0]
    return Finding.wrong(
        "foreign keys",
        f"{first['constraint']} on {first['relation']}: {first['definition']}",
        "To delete what an event refers to fails, and so does an event about what is gone. History outlives what it "
        f"tells of: ALTER TABLE {first['relation']} DROP CONSTRAINT {first['constraint']};",
    )


def check_triggers(subject: Subject) -> Finding:
    """Tell which triggers and rules of others see a row, and could keep it out."""
    found = [row["interference"] for row in subject.ask("doctor_triggers", is_ours=subject.is_ours)]
    if not found:
        return Finding.ok("triggers", "none that could change, drop or refuse a row")
    drops = "; ".join(f"DROP {each}" for each in found)
    return Finding.wrong(
        "triggers",
        f"{', '.join(found)} may change, drop or refuse rows",
        f"Unless it is meant, as {subject.owner}: {drops};",
    )


def check_constraints(subject: Subject) -> Finding:
    """Tell which CHECK constraints decide on rows."""
    rows = subject.ask("doctor_checks")
    if not rows:
        return Finding.ok("checks", "none: every event fits")
    first = rows[0]
    more = f", and {len(rows) - 1} more" if len(rows) > 1 else ""
    return Finding.wrong(
        "checks",
        f"{first['constraint']} on {first['relation']}: {first['definition']}{more}",
        f"An event that does not fit is refused and lost. Unless it is meant, as {subject.owner}: "
        f"ALTER TABLE {first['relation']} DROP CONSTRAINT {first['constraint']};",
    )


def check_insert(subject: Subject) -> Finding:
    """Insert an event by the writer's own statement, as the writer where this role may act as it, and roll it back."""
    user = subject.connection.info.user
    role = subject.writer if _may_become(subject) else user
    if role != subject.writer or not subject.is_writer:
        held = subject.role_named(role)
        if held and not held["may_insert"] and (held["may_read"] or role != subject.writer):
            does = "reads and does not write" if held["may_read"] else "may not insert"
            return Finding.hidden("insert", f"{role} {does}", _not_proved(subject))
    try:
        stored = _insert(subject, role)
    except PlantedError as error:
        return Finding.hidden("insert", f"not tried: {error}", _as_itself(subject))
    except SchemaError as error:
        return Finding.wrong("insert", _unwritable(subject, role) if role != user else str(error), _OTHERWISE)
    except psycopg.Error as error:
        return Finding.wrong(
            "insert", f"refused to {role}: {words(error)}", _ADVICE.get(error.sqlstate or "", _OTHERWISE)
        )
    if stored != 1:
        return Finding.wrong("insert", "the server took the row and stored nothing", "See triggers and unique indexes.")
    over = "" if role == user else f", over the connection of {user}"
    text = f"{role} inserted an event by the writer's statement{over}; it was rolled back"
    return Finding.ok("insert", text, None if role == subject.writer else _not_proved(subject))


def _not_proved(subject: Subject) -> str:
    user = subject.connection.info.user
    if subject.writer == user:
        return NAME_THE_WRITER
    return f"{user} may not act as {subject.writer}: to prove that it can insert, connect as {subject.writer}."


def _unwritable(subject: Subject, role: str) -> str:
    return f"{role} may not insert into {subject.name}, or a column is missing: see columns and grants"


def _may_become(subject: Subject) -> bool:
    """Tell whether this connection may act as the writer; the server's answer is the rule of its version."""
    if subject.writer == subject.connection.info.user:
        return True
    try:
        with subject.connection.transaction(force_rollback=True):
            _become(subject, subject.writer)
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidParameterValue):
        return False
    return True


def _become(subject: Subject, role: str) -> None:
    subject.connection.execute(template("become").format(role=sql.Identifier(role)))


def _insert(subject: Subject, role: str) -> int:
    """
    Return how many rows the writer's statements make, over whatever the search path has.

    :raises PlantedError: it would run code of the owner's.
    """
    cursor = psycopg.Cursor(subject.connection, row_factory=tuple_row)
    with subject.connection.transaction(force_rollback=True):
        cursor.execute(template("limit_batch"), _TIMEOUTS)
        refuse_planted(subject)
        if role != subject.connection.info.user:
            _become(subject, role)
        table = catalog.describe(subject.connection, subject.place, subject.columns)
        cursor.execute(template("set_path"), {"path": subject.path})
        cursor.execute(template("limit_batch"), _TIMEOUTS)
        cursor.execute(table.insert(), {"lines": json.dumps([_event()])})
        return cursor.rowcount


def _as_itself(subject: Subject) -> str:
    return (
        f"Who owns a table runs code as whoever writes to it. To prove the insert, connect as the application's role: "
        f"{subject.command('doctor')} with its conninfo."
    )


def _event() -> dict[str, Any]:
    return {
        "writer_seq": 1,
        "id": str(uuid7()),
        "writer_id": str(uuid4()),
        "occurred_at": time.time(),
        "action": "audit.doctor",
        "outcome": "success",
    }
