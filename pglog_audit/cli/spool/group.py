"""The group of the commands about the spool."""

import click

from .rejects import rejects
from .replay import replay
from .status import status


@click.group(commands=[status, replay, rejects])
def spool() -> None:
    """
    Look at the lines on disk, and store what dead writers left there.

    DIRECTORY is the handler's option spool. What a living writer has there it stores itself.
    """
