"""Processes of their own that log, and that we may trace, limit and kill."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support import wait_until

PROGRAMS = Path(__file__).parent / "programs"


class Child:
    """A program of the folder, which answers each line with its counters."""

    def __init__(self, command: Sequence[str]) -> None:
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        self.process = subprocess.Popen(command, text=True, **pipes)

    def ask(self, line: str) -> dict[str, Any]:
        """Return the counters after the program did what *line* says."""
        self.tell(line)
        return self.answer()

    def tell(self, line: str) -> None:
        """Have the program do what *line* says, and don't wait for it."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """Return the counters that the program answers with next."""
        assert self.process.stdout is not None
        answer: dict[str, Any] = json.loads(self.process.stdout.readline() or self._failure())
        return answer

    def _failure(self) -> str:
        raise AssertionError(self.process.communicate(timeout=60))

    def wait_until(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return the first counters that *condition* is true of."""
        answers = [self.ask("log 0")]

        def holds() -> bool:
            answers[0] = self.ask("log 0")
            return condition(answers[0])

        wait_until(holds)
        return answers[0]

    def end(self) -> str:
        """Let the program end by itself, and return what it said on stderr."""
        _, errors = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, errors
        return str(errors)


@contextmanager
def child(options: dict[str, Any], *arguments: str, under: Sequence[str] = ()) -> Iterator[Child]:
    """Run the program ``log_lines.py`` with a handler of *options*, *under* another program."""
    command = [*under, sys.executable, str(PROGRAMS / "log_lines.py"), json.dumps(options), *arguments]
    running = Child(command)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.communicate()


def strace(injection: str, *paths: Path) -> list[str]:
    """Return the begin of a command that lets system calls on *paths* fail; skip the test where that cannot be."""
    program = shutil.which("strace")
    if program is None:
        pytest.skip("strace, which makes system calls fail, is not installed")
    command = [program, "-f", "-qq", "-o", os.devnull, *(f"--trace-path={path}" for path in paths)]
    tried = subprocess.run([program, "-o", os.devnull, "true"], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"strace may not trace here: {tried.stderr.strip()}")
    return [*command, f"--inject={injection}"]
