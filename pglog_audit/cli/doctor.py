"""``pglog-audit doctor``: what is wrong with the audit trail, and what to do about it."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace

import click
from rich.text import Text

from ..conninfo import require_conninfo
from ..doctor import Examination, Target, check_spool, environment_origin, examine
from ..errors import AuditError, ConfigurationError
from ..finding import Finding
from ..options import WriterOptions, read_options
from ..sql import check_table
from .event_json import to_json_text
from .logging_config import LoggingHalf, examine_logging
from .options import NAME_IT, Once, column_option, examples, given_conninfo
from .screen import open_console, stdout_encoding
from .terminal import printable

_COLORS = {"ok": "green", "wrong": "red", "hidden": "yellow"}
_WRONG, _UNREACHABLE, _UNFIT = 1, 3, 4


@click.command(
    cls=Once,
    epilog=examples(
        "pglog-audit doctor --writer app",
        "pglog-audit doctor --config myapp.settings:LOGGING",
        "pglog-audit doctor --table activity --existing --column occurred_at=created_at",
        "pglog-audit doctor -o json | jq '.checks[] | select(.status == \"wrong\")'",
    ),
)
@click.option(
    "--conninfo",
    metavar="CONNINFO",
    callback=given_conninfo,
    help="The database, as a URL or as libpq's key=value text. Default: that of the handler in --config, else the "
    "environment's.",
)
@click.option(
    "--table",
    metavar="[SCHEMA.]NAME",
    callback=lambda _context, _option, given: None if given is None else check_table(given),
    help="The audit table. Default: that of the handler in --config, else audit_log.",
)
@column_option
@click.option("--existing", is_flag=True, help="The table is another program's, and used as it is.")
@click.option("--writer", metavar="ROLE", help="The application's role. Default: the one that connects.")
@click.option(
    "--config",
    metavar="MODULE:LOGGING",
    help="The application's logging configuration, a dict or what returns one, or a .json file: it is applied in this "
    "process, and the way from its loggers to the database is examined.",
)
@click.option("--logger", metavar="NAME", help="The logger of --config. Default: each that has a handler of ours.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="A line for each check, or one JSON object.",
)
def doctor(
    conninfo: str | None,
    table: str | None,
    columns: Mapping[str, str],
    writer: str | None,
    config: str | None,
    logger: str | None,
    output: str,
    *,
    existing: bool,
) -> None:
    """
    Tell what is wrong with the audit trail, and what to do about it.

    Each line is ok, wrong, or hidden: what this role cannot see, which is no failure. Nothing is changed: the one event
    that is inserted is rolled back. Exit status: 0 nothing is wrong, 1 something is, 3 no database, 4 no such table, or
    another program's.
    """
    if logger is not None and config is None:
        raise ConfigurationError("--logger is for --config: give the application's logging configuration as well")
    half = examine_logging(config, logger) if config is not None else LoggingHalf(())
    try:
        target = _target(half.targets, conninfo, table, columns)
    except AuditError as error:
        # Where the logging half has told that no database is named, it shall be read.
        if not half.findings:
            raise
        advice = "Give --conninfo, or mend the handler's configuration."
        examination = Examination((Finding.wrong("connection", str(error), advice),), is_reachable=False)
    else:
        examination = examine(target, writer=writer, existing=existing)
        half = LoggingHalf((*half.findings, *_compare(half.targets, target)), half.targets)
    spools = dict.fromkeys(finding for options in half.targets for finding in check_spool(options))
    findings = (*examination.findings, *half.findings, *spools)
    if output == "json":
        click.echo(_json(findings))
    else:
        _show(findings)
    sys.exit(_status(examination, findings))


def _target(
    handlers: Sequence[WriterOptions], conninfo: str | None, table: str | None, columns: Mapping[str, str]
) -> Target:
    """Return where to look: what the options say, else where the first handler writes to, else the environment's."""
    if conninfo is None and handlers:
        handler = Target.of_handler(handlers[0])
        return replace(handler, table=table or handler.table, columns={**handler.columns, **columns})
    origin = "--conninfo" if conninfo is not None else environment_origin()
    found = require_conninfo(NAME_IT) if conninfo is None else conninfo
    options, _ = read_options(found, {"table": table or "audit_log", "columns": columns})
    return Target(found, origin, options.table, dict(options.columns))


def _compare(handlers: Iterable[WriterOptions], target: Target) -> Iterable[Finding]:
    """Tell which handlers write elsewhere than where was looked."""
    for options in handlers:
        try:
            handler = Target.of_handler(options)
        except AuditError as error:
            yield Finding.wrong("target", str(error), "The handler cannot connect either.")
            continue
        if handler.place() != target.place() or not _is_same_table(handler.table, target.table):
            where = "host={} port={} dbname={} table={}".format(*handler.address(), handler.table)
            text = f"a handler writes to {where}, which was not examined"
            yield Finding.wrong("target", text, "Leave out --conninfo and --table, or choose its --logger.")
        else:
            yield Finding.ok("target", "the handler writes to the table that was examined")


def _is_same_table(one: str, other: str) -> bool:
    """Compare names, of which one may leave the schema to the search path."""
    schemas, names = zip(*(name.rpartition(".")[::2] for name in (one, other)), strict=True)
    return len(set(names)) == 1 and len({*schemas} - {""}) <= 1


def _show(findings: Sequence[Finding]) -> None:
    """Print a line for each of *findings*, its advice below; long lines are left to the terminal, and to grep."""
    width = max(len(finding.name) for finding in findings)
    console, encoding = open_console(), stdout_encoding()
    for finding in findings:
        status = (f"{finding.status:6}", _COLORS[finding.status])
        line = Text.assemble(status, f"  {finding.name:{width}}  {printable(finding.text, encoding)}")
        console.print(line, soft_wrap=True)
        for advice in (finding.advice or "").splitlines():
            console.print(Text(f"{'':6}  {'':{width}}  {printable(advice, encoding)}"), soft_wrap=True)


def _json(findings: Sequence[Finding]) -> str:
    is_ok = all(finding.status != "wrong" for finding in findings)
    return to_json_text({"ok": is_ok, "checks": [asdict(finding) for finding in findings]}, indent=2)


def _status(examination: Examination, findings: Sequence[Finding]) -> int:
    if not examination.is_reachable:
        return _UNREACHABLE
    if not examination.has_table:
        return _UNFIT
    return _WRONG if any(finding.status == "wrong" for finding in findings) else 0
