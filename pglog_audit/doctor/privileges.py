"""Privileges and policies: what the writer's role needs, what it must not have, and what others must not have."""

import shlex
from collections.abc import Iterable
from typing import Any

from ..finding import Finding
from .subject import Subject

NAME_THE_WRITER = "Name the application's role with --writer."
_OWN_ROLE = "Give the application a role of its own: CREATE ROLE app LOGIN, pglog-audit init --writer app."


def check_grants(subject: Subject) -> Finding:
    """Tell whether the writer's role has all that it needs."""
    role = subject.role()
    if role is None:
        return Finding.wrong("grants", f"there is no role {subject.writer}", "Make it, or give another --writer.")
    if not subject.is_writer and role["may_read"] and not role["may_insert"]:
        return Finding.hidden("grants", f"{role['name']} reads and does not write", NAME_THE_WRITER)
    lacks = list(_lacks(role))
    if lacks:
        return Finding.wrong("grants", f"{role['name']} lacks {', '.join(lacks)}", _grant_advice(subject))
    return Finding.ok("grants", f"{role['name']} may insert into {subject.name}")


def _lacks(role: dict[str, Any]) -> Iterable[str]:
    if not role["has_usage"]:
        yield f"USAGE on schema {role['schema']}"
    if role["closed_columns"]:
        yield f"INSERT on {', '.join(role['closed_columns'])}"
    for sequence in role["closed_sequences"]:
        yield f"USAGE on sequence {sequence}"


def _grant_advice(subject: Subject) -> str:
    command = ["pglog-audit", "init", "--writer", subject.writer]
    command += [] if subject.table == "audit_log" else ["--table", subject.table]
    command += [] if subject.is_ours else ["--existing"]
    return f"As {subject.owner}: {shlex.join(command)}"


def check_row_security(subject: Subject) -> Finding:
    """Tell whether row-level security lets the writer's rows pass."""
    rows = subject.ask("doctor_row_security", role=subject.writer)
    if not rows:
        return Finding.hidden("row security", f"there is no role {subject.writer}")
    security, name = rows[0], rows[0]["name"]
    if not security["is_on"]:
        return Finding.ok("row security", "it is off: grants alone decide")
    if not security["binds"]:
        return Finding.ok("row security", f"it is on, and does not bind {name}")
    if not security["admits"]:
        return Finding.wrong("row security", f"it is on, and no policy lets {name} insert", _policy(subject, name))
    if judged := ", ".join(security["judging"]):
        advice = f"Whether a row passes WITH CHECK depends on the row: an event that does not is refused to {name}."
        return Finding.ok("row security", f"policy {judged} decides which rows {name} may insert", advice)
    return Finding.ok("row security", f"it is on, and lets {name} insert every row")


def _policy(subject: Subject, role: str) -> str:
    return f"As {subject.owner}: CREATE POLICY insert_events ON {subject.name} FOR INSERT TO {role} WITH CHECK (true);"


def check_restraint(subject: Subject) -> Finding:
    """Tell whether the writer's role could change or forge what was written."""
    role = subject.role()
    if role is None:
        return Finding.hidden("restraint", f"there is no role {subject.writer}")
    if power := _power(role):
        return Finding.wrong(
            "restraint", f"{role['name']} {power}: no grant binds it, and it can drop the guards", _own_role(subject)
        )
    if role["owns_schema"]:
        return Finding.wrong(
            "restraint",
            f"{role['name']} owns schema {role['schema']}, as who owns the database owns public: it can drop the table",
            "Give the log a schema of its own: CREATE SCHEMA audit; pglog-audit init --table audit.audit_log.",
        )
    excess = [*role["excess"], *(["INSERT (recorded_at)"] if role["may_set_recorded_at"] else [])]
    if excess:
        held = ", ".join(excess)
        advice = f"REVOKE {held} ON {subject.name} FROM {role['name']}; if it has them through a role, from that one."
        return Finding.wrong("restraint", f"{role['name']} has {held} on {subject.name}", advice)
    return Finding.ok("restraint", f"{role['name']} may not change, delete or date back a row", _more(subject, role))


def _more(subject: Subject, role: dict[str, Any]) -> str | None:
    """Return what to know of a writer that does more than write."""
    known = []
    if role["may_insert"] and role["may_read"]:
        privilege = "SELECT"
        known.append(
            "It may read as well, and so may whoever takes over the application. Unless the application shows the log: "
            f"REVOKE {privilege} ON {subject.name} FROM {role['name']};"
        )
    if role["may_create"]:
        known.append(
            f"It may make tables in schema {role['schema']}, and so take the names of months to come. A schema of the "
            "log's own has none of others."
        )
    return "\n".join(known) or None


def _power(role: dict[str, Any]) -> str | None:
    if role["is_superuser"]:
        return "is a superuser"
    if role["is_owner"]:
        return "owns the table"
    return "is a member of the role that owns the table" if role["is_member"] else None


def _own_role(subject: Subject) -> str:
    if subject.writer == subject.connection.info.user:
        return f"If the application connects as another role, examine that one with --writer. {_OWN_ROLE}"
    return _OWN_ROLE


def check_public(subject: Subject) -> Finding:
    """Tell what every role may do with the table."""
    held = ", ".join(row["privilege"] for row in subject.ask("doctor_public"))
    if not held:
        return Finding.ok("public", "PUBLIC has been given nothing")
    return Finding.wrong(
        "public", f"PUBLIC has {held} on {subject.name}", f"REVOKE ALL ON {subject.name} FROM PUBLIC; grant by role."
    )


def check_other_grants(subject: Subject) -> Finding:
    """Tell which other roles may do more than read, and tell events with the server's time."""
    rows = subject.ask("doctor_other_grants", retained=subject.retained, writer=subject.writer)
    if not rows:
        return Finding.ok("other grants", "nobody else may do more than insert and read")
    first = rows[0]
    more = f", and {len(rows) - 1} more" if len(rows) > 1 else ""
    return Finding.wrong(
        "other grants",
        f"{first['grantee']} has {first['privileges']} on {first['relation']}{more}",
        f"REVOKE ALL ON {first['relation']} FROM {first['grantee']}; what an application needs, init --writer gives; "
        "it leaves out recorded_at, which whoever has INSERT on the whole table can date back.",
    )


def check_partition_grants(subject: Subject) -> Finding:
    """Tell who may do what with a partition, past the table's own grants and policies."""
    rows = subject.ask("doctor_partition_grants")
    if not rows:
        return Finding.ok("partition grants", "none: whoever may do something may do it with the table")
    first = rows[0]
    more = f", and {len(rows) - 1} more" if len(rows) > 1 else ""
    return Finding.wrong(
        "partition grants",
        f"{first['grantee']} has {first['privilege']} on {first['relation']}{more}",
        f"REVOKE ALL ON {first['relation']} FROM {first['grantee']}; grant on {subject.name} itself.",
    )
