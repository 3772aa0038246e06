"""``manage.py pglog_audit``: the command line, with the database of the settings."""

import os
import sys
from argparse import REMAINDER, ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management.base import BaseCommand

from pglog_audit.cli import main
from pglog_audit.integrations.django.databases import DatabaseConninfo

_VARIABLE = "PGLOG_AUDIT_CONNINFO"


class Command(BaseCommand):
    """Run a command of ``pglog-audit``; what it takes, ``manage.py pglog_audit timeline --help`` says."""

    help = "Run a command of pglog-audit with the database of the settings: timeline, show, gaps, doctor, init, …"
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the database's alias, and leave all the rest to the command line."""
        parser.add_argument("--database", default="default", help="The alias in DATABASES. Default: default.")
        parser.add_argument("arguments", nargs=REMAINDER, metavar="COMMAND …", help="As pglog-audit takes it.")

    def handle(self, *_: object, arguments: list[str], database: str, **__: object) -> None:
        """Run the command, and leave with its exit status unless that is 0."""
        try:
            with _environment(DatabaseConninfo(database)()):
                main(arguments, "manage.py pglog_audit")
        except SystemExit as end:
            if end.code:
                sys.exit(end.code)


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
