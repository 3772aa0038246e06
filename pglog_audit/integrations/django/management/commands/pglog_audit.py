"""``manage.py pglog_audit``: the command line, with the database of the settings."""

import os
import sys
from argparse import REMAINDER, ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import BytesIO, TextIOWrapper
from typing import TextIO

from django.core.management.base import BaseCommand
from django.db import connections

from pglog_audit.cli import main
from pglog_audit.integrations.django.audit_settings import id_types
from pglog_audit.integrations.django.databases import DatabaseConninfo
from pglog_audit.integrations.django.operations import command_errors, require_id_types

_VARIABLE = "PGLOG_AUDIT_CONNINFO"
_OTHERWISE = ("--id-type", "--existing", "--table", "--help", "-h")
"""With these, ``init`` makes another table than the migration."""


class Command(BaseCommand):
    """Run a command of ``pglog-audit``; what it takes, ``manage.py pglog_audit timeline --help`` says."""

    help = "Run a command of pglog-audit with the database of the settings: timeline, show, gaps, doctor, init, …"
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the database's alias, and leave all the rest to the command line."""
        parser.add_argument("--database", default="default", help="The alias in DATABASES. Default: default.")
        parser.add_argument("arguments", nargs=REMAINDER, metavar="COMMAND …", help="As pglog-audit takes it.")

    def handle(
        self, *_: object, arguments: list[str], database: str, stdout: TextIO | None = None, **__: object
    ) -> None:
        """Run the command, and leave with its exit status unless that is 0."""
        handler = {"class": "pglog_audit.integrations.django.AuditHandler"}
        if database != "default":
            handler["database"] = database
        with command_errors():
            conninfo = DatabaseConninfo(database)()
            if arguments[:1] == ["init"] and not any(each.startswith(_OTHERWISE) for each in arguments):
                arguments = [*arguments, *_id_types(database)]
        try:
            with _environment(conninfo), _printing_to(stdout):
                main(arguments, "manage.py pglog_audit", handler=handler)
        except SystemExit as end:
            if end.code:
                sys.exit(end.code)


def _id_types(database: str) -> list[str]:
    """Return the options with which ``init`` makes the table that the migration would make."""
    connections[database].ensure_connection()
    require_id_types(connections[database].connection)
    return [f"--id-type={name}={type_}" for name, type_ in id_types().items()]


@contextmanager
def _environment(conninfo: str) -> Iterator[None]:
    """Name the database in the environment, where each command looks for it that is not told otherwise."""
    before = os.environ.get(_VARIABLE)
    os.environ[_VARIABLE] = conninfo
    try:
        yield
    finally:
        if before is None:
            del os.environ[_VARIABLE]
        else:
            os.environ[_VARIABLE] = before


@contextmanager
def _printing_to(stdout: TextIO | None) -> Iterator[None]:
    """Print to what ``call_command()`` was given, which may take text alone."""
    if stdout is None:
        yield
        return
    with BytesIO() as written, TextIOWrapper(written, "utf-8", newline="") as text, redirect_stdout(text):
        try:
            yield
        finally:
            text.flush()
            stdout.write(written.getvalue().decode())
