"""``pglog-audit init``: make the table and say how to log to it."""

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

import click
from click.core import ParameterSource
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.pq import Conninfo

from .. import schema
from ..conninfo import find_variable
from .options import Once, conninfo_option, examples, schema_options
from .owner_connection import owner_connection

_USAGE = """\
Logging configuration:

LOGGING = {{
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {{"audit": {handler}}},
    "loggers": {{"audit": {{"handlers": ["audit"], "level": "INFO", "propagate": False}}}},
}}

The first event:

import {logging}
from pglog_audit import audit
{configure}logger = logging.getLogger("audit")
logger.info("Logo replaced", extra=audit("branding.update", metadata={{"field": "logo"}}))

Read it, as the role {reader}:

{timeline}"""

_AHEAD = {
    "daily": "today, the next 30 days",
    "monthly": "this month, the next twelve",
    "yearly": "this year, the next two",
}


@click.command(
    cls=Once,
    epilog=examples(
        "pglog-audit init --conninfo postgresql://postgres@localhost/app --writer app",
        "pglog-audit init --owner audit_owner --writer app --reader auditor --operator ops",
        "pglog-audit init --table activity --existing --writer app",
    ),
)
@conninfo_option
@schema_options
@click.pass_context
def init(context: click.Context, /, conninfo: str, *, existing: bool, **options: Any) -> None:
    """
    Make the audit table and its view, give each role what it needs, and print how to log to it.

    The role that connects owns both, unless --owner says otherwise. Running it again changes nothing but adds what the
    roles lack.
    """
    with owner_connection(conninfo, autocommit=False) as connection:
        result = schema.init(connection, existing=existing, **options)
    given = context.get_parameter_source("conninfo") is ParameterSource.COMMANDLINE
    click.echo(
        "\n".join(
            [
                *_done(result, existing=existing, single=options["owner"] is None),
                "",
                _connection_note(result.writer, given=given, project=context.obj),
                "",
            ]
        )
    )
    click.echo(_usage(context, conninfo if given else None, options["table"], result))


def _done(result: schema.InitResult, *, existing: bool, single: bool) -> Iterator[str]:
    if result.created:
        yield f"Made {result.table}: append-only, with partitions for {_AHEAD[result.partitions]} and everything else."
    elif existing:
        yield f"{result.table} is used as it is."
    else:
        yield f"{result.table} is there already; pglog-audit doctor tells whether it is whole."
        if result.version is not None and result.version < schema.VERSION:
            yield f"It has schema {result.version}, older than {schema.VERSION}: pglog-audit upgrade brings it up."
    if result.missing:
        yield f"It has no column for {', '.join(result.missing)}: the handler leaves these fields out."
        yield (
            'Where a column has another name, tell the handler columns={"occurred_at": "created_at"} and the timeline '
            "--column occurred_at=created_at."
        )
    if result.view is not None:
        yield f"For SQL there is the view {result.view}: who did what, in columns to read."
    yield from _roles(result, existing=existing, single=single)


def _roles(result: schema.InitResult, *, existing: bool, single: bool) -> Iterator[str]:
    if result.writer is None:
        owns = f"an application that connects as {result.owner} owns the table, and can alter and drop it"
        yield f"No --writer: {owns if single else 'no application may insert yet'}."
        yield "Make a role for it, and run init again with --writer ROLE."
    elif result.writer != result.reader:
        yield _role(result.writer, result.writer_privileges, result.table)
    if result.reader is not None:
        read = result.table if result.view is None else f"{result.table} and {result.view}"
        yield _role(result.reader, result.reader_privileges, read)
    if result.rls:
        yield "Row-level security is on: a reader sees the events of the tenant in pglog_audit.tenant, else none."
    if result.closed_view:
        yield f"Until now {result.view} showed the events of all tenants, by its owner's rights: it does so no more."
    if result.operator is not None:
        yield f"Role {result.operator} may act as {result.owner}, who owns it, by SET ROLE."
    yield from _weaknesses(result, existing=existing)


def _weaknesses(result: schema.InitResult, *, existing: bool) -> Iterator[str]:
    for name in sorted({getattr(result, option) for option in result.may_drop}):
        yield f"Role {name} owns the schema, and may drop the table all the same: give the log a schema of its own."
    if not (existing or result.limits_writer or result.writer is None):
        role = sql.Identifier(result.writer).as_string()
        yield f"Its statements got no time limits, which this role may not set. Who may alter {result.writer} runs:"
        yield f"ALTER ROLE {role} SET lock_timeout = '5s'; ALTER ROLE {role} SET statement_timeout = '60s';"


def _role(role: str, privileges: frozenset[str], read: str) -> str:
    """Say what *role* may do, whoever granted it."""
    acts = {"INSERT": "insert events", "SELECT": f"read {read}"}
    may = f"Role {role} may {' and '.join(act for privilege, act in acts.items() if privilege in privileges)}"
    if more := sorted(privileges - acts.keys()):
        return f"{may}. It has {', '.join(more)} as well: pglog-audit doctor --writer {shlex.quote(role)} says more."
    return f"{may} and has been given nothing else."


def _connection_note(writer: str | None, *, given: bool, project: Mapping[str, str] | None) -> str:
    if project and not given:
        role = f" To write as role {writer}, name an alias with that USER." if writer is not None else ""
        return f"The handler writes to DATABASES[{json.dumps(project.get('database', 'default'))}].{role}"
    if given:
        return "The conninfo below has no password: libpq takes it from ~/.pgpass or PGPASSWORD."
    role = f" There it must name role {writer}." if writer is not None else ""
    return f"The handler takes its conninfo from the environment, as this command did: {find_variable()}.{role}"


def _usage(context: click.Context, conninfo: str | None, table: str, result: schema.InitResult) -> str:
    project = None if conninfo is not None else context.obj
    handler = dict(project or {"class": "pglog_audit.AuditHandler"})
    timeline = [*str(context.find_root().info_name).split(), "timeline"]
    if conninfo is not None:
        handler["conninfo"] = _public(conninfo, user=result.writer)
        timeline += ["--conninfo", _public(conninfo, user=result.reader)]
    if table != "audit_log":
        handler["table"] = table
        timeline += ["--table", table]
    # A JSON text is a Python literal too, and double-quoted like the rest.
    reader = result.reader or "that this command used"
    return _USAGE.format(
        handler=json.dumps(handler, ensure_ascii=False),
        reader=reader,
        timeline=shlex.join(timeline),
        # A framework configures logging itself.
        logging="logging" if project else "logging.config",
        configure="" if project else "logging.config.dictConfig(LOGGING)\n",
    )


def _public(conninfo: str, user: str | None = None) -> str:
    """Return *conninfo*, as *user* if given, without what libpq itself would show as stars."""
    options = Conninfo.parse(conninfo.encode())
    parts = {
        option.keyword.decode(): option.val.decode() for option in options if option.val and option.dispchar != b"*"
    }
    return make_conninfo("", **parts | ({"user": user} if user is not None else {}))
