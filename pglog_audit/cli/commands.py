"""The group of all commands."""

from importlib import import_module
from typing import Any

import click

from .statuses import exit_statuses

_NAMES = ("init", "maintain", "retain", "upgrade", "sql", "timeline", "show", "gaps", "doctor", "spool", "demo")


class _Commands(click.Group):
    """Each command is loaded from the module of its name when it is asked for: ``init`` needs nothing of ``demo``."""

    def list_commands(self, _context: click.Context) -> list[str]:
        return list(_NAMES)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        if name not in _NAMES:
            return None
        command: click.Command = getattr(import_module(f".{name}", __package__), name)
        return command

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        with exit_statuses():
            return super().make_context(*arguments, **options)

    def invoke(self, context: click.Context) -> Any:
        with exit_statuses():
            return super().invoke(context)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pglog-audit")
def cli() -> None:
    """
    Who did what, when: an append-only audit log in PostgreSQL.

    Exit status: 0 done, 1 not found or a check failed, 2 wrong usage, 3 no database, 4 the table or the privileges do
    not fit, 5 the output cannot be written.
    """
