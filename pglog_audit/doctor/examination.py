"""The examination: every check, in the order in which one fault explains the next."""

import logging
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import Connection

from .. import diagnostics
from ..errors import SchemaError, UnreachableError
from ..finding import Finding
from ..verdict import words
from . import gaps, guards, insertion, months, ownership, privileges, server, table, tenants, traces, view
from .subject import Subject, find_subject, own_names
from .target import Target

_CHECKS: Mapping[str, Callable[[Subject], Finding]] = {
    "columns": table.check_columns,
    "required": table.check_required,
    "values": table.check_values,
    "retries": table.check_retries,
    "unlogged": table.check_unlogged,
    "owner": ownership.check_owner,
    "retained": ownership.check_retained,
    "guards": guards.check_guards,
    "traces": traces.check_traces,
    "view": view.check_view,
    "months": months.check_months,
    "detached": traces.check_detached,
    "default rows": months.check_default_rows,
    "publications": months.check_publications,
    "grants": privileges.check_grants,
    "row security": privileges.check_row_security,
    "tenants": tenants.check_tenants,
    "restraint": privileges.check_restraint,
    "public": privileges.check_public,
    "other grants": privileges.check_other_grants,
    "partition grants": privileges.check_partition_grants,
    "unique indexes": insertion.check_unique_indexes,
    "foreign keys": insertion.check_foreign_keys,
    "triggers": insertion.check_triggers,
    "checks": insertion.check_constraints,
    "insert": insertion.check_insert,
    "gaps": gaps.check_gaps,
}
_OURS_ALONE = (
    "values",
    "unlogged",
    "owner",
    "retained",
    "guards",
    "traces",
    "view",
    "months",
    "detached",
    "default rows",
    "publications",
    "tenants",
    "other grants",
    "checks",
    "gaps",
)


@dataclass(frozen=True)
class Examination:
    """What was found, and whether there was a database and a table of ours to look at."""

    findings: tuple[Finding, ...]
    is_reachable: bool = True
    has_table: bool = True


def examine(target: Target, *, writer: str | None = None, existing: bool = False) -> Examination:
    """
    Examine the database half of an audit trail; nothing is changed, and the one row inserted is rolled back.

    :param writer: the application's role; by default the one that connects.
    :param existing: the table is another program's, and used as it is.
    """
    try:
        connection = target.connect()
    except UnreachableError as error:
        advice = "Is the server running, and do address, role and password fit?"
        return Examination((Finding.wrong("connection", str(error), advice),), is_reachable=False)
    with connection, _without_warnings():
        findings = [server.check_connection(connection, target.origin), server.check_server(connection)]
        findings.append(server.check_client())
        if findings[1].status == "wrong":
            return Examination(tuple(findings))
        role = connection.info.user if writer is None else writer
        try:
            with own_names(connection):
                findings += [server.check_clock(connection), server.check_settings(connection, role)]
            return _examine_table(connection, target, writer, findings, existing=existing)
        except psycopg.Error as error:
            if not connection.closed:
                raise
            advice = (
                f"If time limits of {role} are too short, another role's doctor --writer {shlex.quote(role)} says so."
            )
            return Examination((*findings, Finding.wrong("connection", f"it was ended: {words(error)}", advice)))


def _examine_table(
    connection: Connection[Any], target: Target, writer: str | None, before: list[Finding], *, existing: bool
) -> Examination:
    try:
        subject = find_subject(connection, target.table, target.columns, writer, is_writer=target.is_handlers)
    except SchemaError as error:
        advice = "Make it with pglog-audit init; or give its --table, with its schema unless that is in search_path."
        return Examination((*before, Finding.wrong("table", str(error), advice)), has_table=False)
    first = table.check_schema(subject, existing=existing)
    if not (subject.is_ours or existing):
        return Examination((*before, first), has_table=False)
    return Examination((*before, first, *_check_table(subject)))


def _check_table(subject: Subject) -> Iterator[Finding]:
    for name, check in _CHECKS.items():
        if subject.is_ours or name not in _OURS_ALONE:
            yield _guarded(name, check, subject)


def _guarded(name: str, check: Callable[[Subject], Finding], subject: Subject) -> Finding:
    """Return what *check* finds; what this role may not see, or not in time, takes one line away and not the rest."""
    try:
        with own_names(subject.connection, writing=check is insertion.check_insert):
            return check(subject)
    except psycopg.errors.InsufficientPrivilege as error:
        return Finding.hidden(name, f"not visible to this role: {words(error)}")
    except (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable) as error:
        advice = "Somebody may hold a lock on the table: look into pg_locks. Or statement_timeout is too short."
        return Finding.wrong(name, f"no answer in time: {words(error)}", advice)


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Keep the writer's own warnings back: the findings say the same."""
    diagnostics.logger.addFilter(_drop)
    try:
        yield
    finally:
        diagnostics.logger.removeFilter(_drop)


def _drop(_record: logging.LogRecord) -> bool:
    return False
