"""A terminal for the tests: programs see a screen and a keyboard, and a test sees what they show and presses keys."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from tests.support import LATEST


class Terminal:
    """A program on a terminal of its own, from its start to its end."""

    def __init__(self, command: Sequence[str], *, columns: int = 80, lines: int = 24, **environ: str) -> None:
        self._screen, keyboard = pty.openpty()
        fcntl.ioctl(keyboard, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        inherited = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "LESS")}
        self.process = subprocess.Popen(
            command,
            stdin=keyboard,
            stdout=keyboard,
            stderr=keyboard,
            env=inherited | {"TERM": "xterm", "LC_ALL": "C.UTF-8"} | environ,
            start_new_session=True,
            # So that the program and its pager find it as /dev/tty, and Ctrl-C reaches them.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(keyboard)
        self.shown = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._screen)

    def press(self, keys: str) -> None:
        """Type *keys*."""
        os.write(self._screen, keys.encode())

    def wait_for(self, pattern: str) -> str:
        """Return all that was shown up to now, once *pattern* is in it."""
        while not re.search(pattern, self.shown):
            assert self._read(), f"it ended without {pattern}: {self.shown}"
        return self.shown

    def finish(self) -> tuple[int, str]:
        """Return the exit status, and all that was shown, with plain line ends."""
        while self._read():
            pass
        return self.process.wait(LATEST), self.shown.replace("\r\n", "\n")

    def _read(self) -> bool:
        readable, _, _ = select.select([self._screen], [], [], LATEST)
        assert readable, f"nothing more came: {self.shown}"
        try:
            data = os.read(self._screen, 65536)
        except OSError:  # Linux says so when the last program has closed the terminal
            return False
        self.shown += data.decode("utf-8", "replace")
        return bool(data)
