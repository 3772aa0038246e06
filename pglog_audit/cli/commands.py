"""The group of all commands, and what their errors mean to a shell."""

from importlib import import_module
from typing import Any

import click
import psycopg

from ..errors import ConfigurationError, SchemaError

_NAMES = ("init", "sql", "timeline", "demo")


class _WrongUsage(click.ClickException):
    exit_code = 2


class _NoDatabase(click.ClickException):
    exit_code = 3


class _Unfit(click.ClickException):
    exit_code = 4


class _Commands(click.Group):
    """Each command is loaded from the module of its name when it is asked for: ``init`` needs nothing of ``demo``."""

    def list_commands(self, _context: click.Context) -> list[str]:
        return list(_NAMES)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        if name not in _NAMES:
            return None
        command: click.Command = getattr(import_module(f".{name}", __package__), name)
        return command

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except ConfigurationError as error:
            raise _WrongUsage(str(error)) from error
        except SchemaError as error:
            raise _Unfit(str(error)) from error
        except psycopg.OperationalError as error:
            raise _NoDatabase(f"the database cannot be used: {_plain(error)}") from error
        except psycopg.Error as error:
            raise _Unfit(f"the database refused: {_plain(error)}") from error


def _plain(error: psycopg.Error) -> str:
    # Never str() of what a server says: its DETAIL holds the values of rows.
    return error.diag.message_primary or str(error).partition("\n")[0]


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pglog-audit")
def cli() -> None:
    """
    Who did what, when: an append-only audit log in PostgreSQL.

    Exit status: 0 done, 2 wrong usage, 3 no database, 4 the table or the privileges do not fit.
    """
