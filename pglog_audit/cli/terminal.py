"""The terminal: what is written there, and where it leads when it is gone."""

import os
import sys

from ..printable_text import printable as printable


def discard_stdout() -> None:
    """Let stdout lead nowhere: what it could not write would fail once more when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
