"""The screen: text on stdout, through a pager where a person would have to scroll back."""

import math
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path

from rich.console import Console

_STYLE = re.compile(r"\x1b\[[\d;]*m")
# End if all fits, let colours through and no other escape, leave the text on the screen; what LESS says goes first.
_LESS = "FRX"


def open_console(*, pager: bool = False) -> Console:
    """
    Return rich's console on stdout, for text that :func:`write` gets.

    It is as wide as ``COLUMNS`` says or the terminal is, else 80. Colours are for a terminal that is not dumb, where
    ``NO_COLOR`` is not set, and for a pager that shows them.
    """
    command = _pager_command() if pager else []
    width, height = shutil.get_terminal_size()
    plain = bool(command) and not _shows_colors(command)
    return Console(width=width, height=height, color_system=None if plain else "auto", highlight=False)


def stdout_encoding() -> str:
    """Return the encoding of what stdout shows."""
    return getattr(sys.stdout, "encoding", None) or "utf-8"


def write(pieces: Iterable[str], *, pager: bool = False) -> None:
    """
    Write *pieces* on stdout, each as soon as it is there.

    With *pager*, what has no room on the terminal goes through ``$PAGER``, by default ``less``. A reader who leaves it
    before the end has seen enough: the process ends, with status 0.
    """
    if pager and (command := _pager_command()):
        pieces = iter(pieces)
        held, is_full = _screenful(pieces)
        pieces = chain(held, pieces)
        if is_full and (process := _start(command)):
            _feed(process, pieces)
            return
    _print(pieces)


def _pager_command() -> list[str]:
    """Return the pager's command; empty where there is none, or nobody looks, or a pager could not do its work."""
    if not sys.stdout.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        return []
    with suppress(ValueError):  # quotes that do not match
        command = shlex.split(os.environ.get("PAGER", "less"))
        if command and Path(command[0]).name != "cat" and shutil.which(command[0]):
            return command
    return []


def _shows_colors(command: list[str]) -> bool:
    options = [*command[1:], os.environ.get("LESS", _LESS)]
    return Path(command[0]).name == "less" and "R" in "".join(options)


def _screenful(pieces: Iterable[str]) -> tuple[list[str], bool]:
    """Take *pieces* until they fill the screen, and tell whether they do."""
    width, height = shutil.get_terminal_size()
    held: list[str] = []
    for piece in pieces:
        held.append(piece)
        # The last line of the screen is the prompt's.
        height -= sum(max(1, math.ceil(len(line) / width)) for line in _STYLE.sub("", piece).splitlines())
        if height < 1:
            return held, True
    return held, False


def _start(command: list[str]) -> "subprocess.Popen[bytes] | None":
    with suppress(OSError):  # found, but it cannot be run: then without
        environ = {"LESS": _LESS, **os.environ}
        return subprocess.Popen(command, stdin=subprocess.PIPE, env=environ)  # noqa: S603 - the user's own
    return None


def _feed(pager: "subprocess.Popen[bytes]", pieces: Iterable[str]) -> None:
    assert pager.stdin is not None  # noqa: S101 - a pipe
    try:
        for piece in pieces:
            pager.stdin.write(_encoded(piece))
            pager.stdin.flush()
    except BrokenPipeError:
        sys.exit(0)
    finally:
        with _interrupts_ignored():
            pager.communicate()


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Let Ctrl-C be a key of the pager alone."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _print(pieces: Iterable[str]) -> None:
    for piece in pieces:
        # Bytes, so that CSV keeps its line ends everywhere.
        sys.stdout.buffer.write(_encoded(piece))
        sys.stdout.buffer.flush()


def _encoded(text: str) -> bytes:
    return text.encode(stdout_encoding(), "backslashreplace")
