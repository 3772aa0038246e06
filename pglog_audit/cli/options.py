"""The options that several commands share: where the database is, and which table."""

from collections.abc import Callable
from functools import reduce
from typing import Any

import click

from ..conninfo import check_conninfo, is_blank, require_conninfo
from ..errors import ConfigurationError
from ..sql import check_table
from ..steps import STEPS

NAME_IT = "give --conninfo postgresql://user@host/dbname"


class Once(click.Command):
    """A command that refuses an option given twice: the last one would win, and nobody would see it."""

    def make_parser(self, context: click.Context) -> Any:  # noqa: D102 - click's
        parser = super().make_parser(context)
        parse = parser.parse_args

        def parse_once(args: list[str]) -> Any:
            parsed = parse(args)
            for parameter in parsed[2]:
                given = parsed[2].count(parameter)
                if given > 1 and isinstance(parameter, click.Option) and not (parameter.multiple or parameter.is_flag):
                    raise click.UsageError(f"{parameter.opts[0]} is given {given} times: give it once", context)
            return parsed

        parser.parse_args = parse_once  # type: ignore[method-assign] # of this parser alone
        return parser


def given_conninfo(_context: click.Context, _option: click.Parameter, given: str | None) -> str | None:
    """Return what ``--conninfo`` gives, checked, or None: for a command that has its own default."""
    if given is None:
        return None
    if is_blank(given):
        raise ConfigurationError(f"--conninfo is empty: {NAME_IT}, or leave it out")
    return check_conninfo(given)


def _conninfo(context: click.Context, option: click.Parameter, given: str | None) -> str:
    return require_conninfo(NAME_IT) if given is None else str(given_conninfo(context, option, given))


def _table(_context: click.Context, _option: click.Parameter, given: str) -> str:
    return check_table(given)


conninfo_option = click.option(
    "--conninfo",
    callback=_conninfo,
    metavar="CONNINFO",
    help="The database, as a URL or as libpq's key=value text. Default: $PGLOG_AUDIT_CONNINFO, then $DATABASE_URL, "
    "then libpq's own variables. A password belongs in ~/.pgpass or in the environment: other users of this "
    "machine can read a command line.",
)
table_option = click.option(
    "--table",
    callback=_table,
    default="audit_log",
    show_default=True,
    metavar="[SCHEMA.]NAME",
    help="The audit table.",
)


def database_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Call *command* with ``conninfo: str`` and ``table: str``, both checked, of ``--conninfo`` and ``--table``."""
    return conninfo_option(table_option(command))


def examples(*commands: str) -> str:
    """Return the end of a command's help: *commands* to copy, each on a line of its own."""
    # \b keeps click from making a paragraph of it.
    return "\n".join(["\b", "Examples:", *(f"  {command}" for command in commands)])


def pairs(_context: click.Context, option: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    """Return what a repeated option FIELD=VALUE gives, by field."""
    parts = [pair.partition("=") for pair in given]
    if lone := [field for field, sign, _ in parts if not sign]:
        raise ConfigurationError(f"{option.opts[0]} is {lone[0]!r}: write {option.metavar}")
    return {field.strip(): value.strip() for field, _, value in parts}


column_option = click.option(
    "--column",
    "columns",
    multiple=True,
    callback=pairs,
    metavar="FIELD=COLUMN",
    help="The column of a field that has another name there, such as occurred_at=created_at; may be repeated.",
)
utc_option = click.option("--utc", is_flag=True, help="Times in UTC instead of local time.")
_pager_option = click.option(
    "--no-pager",
    is_flag=True,
    help="Never use $PAGER, or less; otherwise they show a table that is longer than the terminal.",
)


def screen_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Call *command* with ``utc: bool`` and ``no_pager: bool``."""
    return utc_option(_pager_option(command))


def reading_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Call *command* with ``conninfo``, ``table`` and ``columns``, and as :func:`screen_options` does."""
    return column_option(screen_options(database_options(command)))


_role_options = (
    click.option(
        "--owner",
        metavar="ROLE",
        help="The role that shall own the table; made without LOGIN if it is missing. Default: the one that connects.",
    ),
    click.option("--writer", metavar="ROLE", help="The application's role: it may insert, and nothing else."),
    click.option(
        "--reader", metavar="ROLE", help="The role of those who look things up: it may read, and nothing else."
    ),
    click.option(
        "--operator",
        metavar="ROLE",
        help="The role of who maintains the table: it may act as the owner (SET ROLE), and nothing else.",
    ),
)
_rls_option = click.option(
    "--rls",
    is_flag=True,
    help="Row-level security: --reader sees the events of the tenant that its session sets as pglog_audit.tenant.",
)
_id_types_option = click.option(
    "--id-type",
    "id_types",
    multiple=True,
    callback=pairs,
    metavar="FIELD=TYPE",
    help="The type of an id column that is not uuid, such as user_id=bigint; may be repeated.",
)
_partitions_option = click.option(
    "--partitions",
    type=click.Choice([*STEPS]),
    help="How long the partitions of a new table are. Default: monthly.",
)
_existing_option = click.option(
    "--existing", is_flag=True, help="Use a table that pglog-audit did not make, as it is; only grants are added."
)


def schema_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Call *command* with ``table``, the roles, ``rls``, ``id_types``, ``partitions`` and ``existing``, as init is."""
    options = (table_option, *_role_options, _rls_option, _id_types_option, _partitions_option, _existing_option)
    return reduce(lambda decorated, option: option(decorated), reversed(options), command)
