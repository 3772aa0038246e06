"""The view for people: whether it shows them what init's does."""

import psycopg
from psycopg import sql

from .. import ddl
from ..finding import Finding
from ..sql import template
from ..table_names import view_name
from .subject import Subject

_PACKAGED = "pglog_audit_packaged"


def check_view(subject: Subject) -> Finding:
    """Compare the view with one that is made as init makes it, and rolled back."""
    view = view_name(subject.bare_name)
    events = ddl.view_events(sql.Identifier(subject.schema, subject.bare_name))
    try:
        with subject.connection.transaction(force_rollback=True):
            made = template("doctor_make_view").format(view=sql.Identifier(_PACKAGED), events=events)
            subject.connection.execute(made)
            found = subject.ask("doctor_view", view=view, packaged=_PACKAGED)
    except psycopg.errors.ReadOnlySqlTransaction:
        return Finding.hidden("view", "not known: nothing to compare with can be made in a read-only transaction")
    except psycopg.errors.UndefinedColumn:
        return Finding.hidden("view", f"not known: {subject.name} lacks a column that it shows")
    if not found:
        return Finding.ok("view", f"there is no {view}", f"As {subject.owner}: {subject.command('init')}")
    [row] = found
    if row["is_whole"]:
        return Finding.ok("view", f"{row['name']} shows every event, as init made it")
    if row["is_ours"]:
        text = f"{row['name']} is not as init made it: events may be missing there, or look otherwise"
        advice = f"As {subject.owner}: DROP VIEW {row['name']}; then init makes it, and --reader grants it, again."
        return Finding.wrong("view", text, advice)
    advice = f"Whoever reads it sees what its definition says; the events are in {subject.name}."
    return Finding.ok("view", f"{row['name']} is none of init's, and may leave events out", advice)
