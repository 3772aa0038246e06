"""What the commands about the spool share: which directory, which target, and how far the work is."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress, ProgressColumn

from ...errors import ConfigurationError, SpoolError
from ...spool import SpoolStatus, read_statuses

directory_argument = click.argument(
    "directory",
    metavar="DIRECTORY",
    type=click.Path(path_type=Path, readable=False),  # whether it can be read, the reader tells
    callback=lambda _context, _argument, given: given.absolute(),
)


def subdirectory_option(text: str) -> Callable[..., Any]:
    """Call the command with ``subdirectory: str | None``, of ``--from``, whose help is *text*."""
    return click.option(
        "--from",
        "subdirectory",
        metavar="SUBDIRECTORY",
        # As the shell completes it: with a slash, or with the directory.
        callback=lambda _context, _option, given: None if given is None else Path(given).name,
        help=text,
    )


def find_statuses(directory: Path, subdirectory: str | None = None) -> list[SpoolStatus]:
    """
    Return what lies in *directory* for each target that has anything there, or for that of *subdirectory*.

    :raises ConfigurationError: there is no such subdirectory, or *directory* is itself that of a target.
    :raises SpoolError: *directory* is not to be read.
    """
    if os.path.exists(directory) and not os.access(directory, os.R_OK | os.X_OK):
        check_owner(directory)
    found = read_statuses(directory)
    if any(any(directory.glob(pattern)) for pattern in ("*.spool", "*.rejects")):
        raise ConfigurationError(
            f"{directory} is the directory of one target: name the one above it, {directory.parent}, and for this "
            f"target alone --from {directory.name}, which replay and rejects take"
        )
    if subdirectory is None:
        return [each for each in found if each.segments or each.rejects]
    named = [each for each in found if each.path.name == subdirectory]
    if not named:
        raise ConfigurationError(
            f"--from is {subdirectory!r}, which {directory} does not have: pglog-audit spool status tells what it has"
        )
    return named


def check_owner(path: Path) -> None:
    """
    Check that this process runs as the user that *path* belongs to.

    :raises SpoolError: it does not.
    """
    owner = path.stat().st_uid
    if owner != os.geteuid():
        name = _user_name(owner)
        raise SpoolError(f"{path} belongs to user {name}: run this command as that user, with sudo -u '{name}'")


def _user_name(number: int) -> str:
    import pwd  # not on Windows, where the other commands must load

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"#{number}"


def open_progress(*columns: ProgressColumn) -> Progress:
    """Return a display on stderr of how far the work is, which leaves nothing behind; none if nobody looks."""
    return Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())


def name_target(status: SpoolStatus) -> str:
    """Return what the lines of *status* are for, as people name it."""
    return status.target or f"unknown, in {status.path.name}"


def count(number: int, noun: str) -> str:
    """Return *number* with its *noun*: ``1 line``, ``12,345 lines``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def names(items: Sequence[object]) -> str:
    """Return *items* as a list to read: ``1``, ``1 and 2``, ``1, 2 and 3``."""
    first, last = ", ".join(map(str, items[:-1])), str(items[-1])
    return f"{first} and {last}" if first else last
