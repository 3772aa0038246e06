"""``pglog-audit init``: make the table and say how to log to it."""

import json
import shlex
from collections.abc import Iterator, Mapping

import click
import psycopg
from click.core import ParameterSource
from psycopg.conninfo import make_conninfo
from psycopg.pq import Conninfo

from .. import schema
from ..conninfo import find_variable
from .options import Once, conninfo_option, examples, schema_options

_USAGE = """\
Logging configuration:

LOGGING = {{
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {{"audit": {handler}}},
    "loggers": {{"audit": {{"handlers": ["audit"], "level": "INFO", "propagate": False}}}},
}}

The first event:

import logging.config
from pglog_audit import audit
logging.config.dictConfig(LOGGING)
logger = logging.getLogger("audit")
logger.info("Logo replaced", extra=audit("branding.update", metadata={{"field": "logo"}}))

Read it, as the role that this command used:

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
        "pglog-audit init --table activity --existing --writer app",
    ),
)
@conninfo_option
@schema_options
@click.pass_context
def init(
    context: click.Context,
    conninfo: str,
    table: str,
    writer: str | None,
    reader: str | None,
    id_types: Mapping[str, str],
    partitions: str | None,
    *,
    existing: bool,
) -> None:
    """
    Make the audit table and its view, and print how to log to it.

    The role that connects owns both. Running it again changes nothing; with --writer and --reader it adds what these
    roles lack.
    """
    with psycopg.connect(conninfo) as connection:
        result = schema.init(
            connection,
            table=table,
            writer=writer,
            reader=reader,
            id_types=id_types,
            partitions=partitions,
            existing=existing,
        )
    given = context.get_parameter_source("conninfo") is ParameterSource.COMMANDLINE
    click.echo("\n".join([*_done(result, existing=existing), "", _connection_note(writer, given=given), ""]))
    click.echo(_usage(conninfo if given else None, table, writer))


def _done(result: schema.InitResult, *, existing: bool) -> Iterator[str]:
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
    yield from _roles(result)


def _roles(result: schema.InitResult) -> Iterator[str]:
    if result.writer is None:
        yield "No --writer: an application that connects as the table's owner can alter and drop the audit log."
        yield "Make a role for it, and run init again with --writer ROLE."
    elif result.writer != result.reader:
        yield _role(result.writer, result.writer_privileges, result.table)
    if result.reader is not None:
        read = result.table if result.view is None else f"{result.table} and {result.view}"
        yield _role(result.reader, result.reader_privileges, read)


def _role(role: str, privileges: frozenset[str], read: str) -> str:
    """Say what *role* may do, whoever granted it."""
    acts = {"INSERT": "insert events", "SELECT": f"read {read}"}
    may = f"Role {role} may {' and '.join(act for privilege, act in acts.items() if privilege in privileges)}"
    if more := sorted(privileges - acts.keys()):
        return f"{may}. It has {', '.join(more)} as well: pglog-audit doctor --writer {shlex.quote(role)} says more."
    return f"{may} and has been given nothing else."


def _connection_note(writer: str | None, *, given: bool) -> str:
    if given:
        return "The conninfo below has no password: libpq takes it from ~/.pgpass or PGPASSWORD."
    role = f" There it must name role {writer}." if writer is not None else ""
    return f"The handler takes its conninfo from the environment, as this command did: {find_variable()}.{role}"


def _usage(conninfo: str | None, table: str, writer: str | None) -> str:
    handler, timeline = {"class": "pglog_audit.AuditHandler"}, ["pglog-audit", "timeline"]
    if conninfo is not None:
        handler["conninfo"] = _public(conninfo, user=writer)
        timeline += ["--conninfo", _public(conninfo)]
    if table != "audit_log":
        handler["table"] = table
        timeline += ["--table", table]
    # A JSON text is a Python literal too, and double-quoted like the rest.
    return _USAGE.format(handler=json.dumps(handler, ensure_ascii=False), timeline=shlex.join(timeline))


def _public(conninfo: str, user: str | None = None) -> str:
    """Return *conninfo*, as *user* if given, without what libpq itself would show as stars."""
    options = Conninfo.parse(conninfo.encode())
    parts = {
        option.keyword.decode(): option.val.decode() for option in options if option.val and option.dispchar != b"*"
    }
    return make_conninfo("", **parts | ({"user": user} if user is not None else {}))
