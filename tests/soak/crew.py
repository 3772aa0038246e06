"""The processes that log: the living and the dead, and their parent, which logs too, so that a fork finds a writer."""

import logging
import multiprocessing
import os
import random
from collections.abc import Mapping
from contextlib import redirect_stderr
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from pglog_audit import processes
from tests.soak import returned
from tests.soak.logging_process import Kind, Task, log, run
from tests.soak.returned import ReturnedCalls
from tests.support import configure, wait_until

_PARENT = Kind("spawn", threads=1, rate=0)
_TIMEOUT = 60.0
"""Seconds until a process that was asked to end must have ended."""


class Member:
    """One process, which runs or ran."""

    def __init__(self, task: Task, process: BaseProcess | None) -> None:
        self.task = task
        self.process = process
        """None for the parent."""
        self.pid = process.pid if process else os.getpid()
        self.exit_code: int | None = None
        """None before :meth:`wait`."""
        self.is_killed = False
        """Whether we killed it."""

    @property
    def name(self) -> str:
        """What to call it in a text."""
        return f"process {self.task.number}" if self.process else "the parent"

    @property
    def returned(self) -> list[int]:
        """How many calls returned so far, of each thread."""
        return returned.read(self.task.returned)

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self.process is not None and self.exit_code is None and self.process.is_alive()

    @property
    def has_begun(self) -> bool:
        """Whether each of its threads logged; a process that ended by itself is not waited for."""
        return not self.is_alive or all(self.returned)

    def kill(self) -> None:
        """Kill it, whatever it does, and wait until it is gone."""
        assert self.process is not None
        self.process.kill()
        self.wait()
        self.is_killed = True

    def wait(self, timeout: float | None = None) -> None:
        """Wait until it has ended, at most *timeout* seconds."""
        assert self.process is not None
        self.process.join(timeout)
        self.exit_code = self.process.exitcode
        if self.exit_code is not None:
            self.process.close()  # it has a descriptor, and a long run has many of them


class Crew:
    """
    Start processes, and kill and end them.

    :param conninfo: of the writer, *options* of each handler.
    :param directory: where counters and words are kept.
    """

    def __init__(self, conninfo: str, options: Mapping[str, Any], directory: Path, seed: int) -> None:
        self._conninfo = conninfo
        self._options = dict(options)
        self._directory = directory
        self._seed = seed
        for name in ("returned", "words"):
            (directory / name).mkdir()
        self._parent = Member(self._task(0, _PARENT), None)
        self.members = [self._parent]
        self._returned = ReturnedCalls(self._parent.task.returned)
        self._logger = configure(conninfo, **self._options)
        logging.root.addHandler(logging.FileHandler(self._parent.task.words))

    def _task(self, number: int, kind: Kind) -> Task:
        counters, words = self._directory / "returned" / str(number), self._directory / "words" / str(number)
        returned.make(counters, kind.threads)
        words.touch()
        return Task(number, kind, self._conninfo, self._options, counters, words, self._seed, os.getpid())

    @property
    def living(self) -> list[Member]:
        """The processes that run."""
        return [member for member in self.members if member.is_alive]

    @property
    def returned(self) -> int:
        """How many calls returned so far."""
        return sum(sum(member.returned) for member in self.members)

    @property
    def kills(self) -> int:
        """How many processes were killed."""
        return sum(member.is_killed for member in self.members)

    def start(self, kind: Kind) -> None:
        """Start a process."""
        log(self._logger, 0, 0, len(self.members) - 1)
        self._returned.add(0)
        task = self._task(len(self.members), kind)
        context: Any = multiprocessing.get_context(kind.start_method)
        process = context.Process(target=run, args=(task,))
        process.start()
        self.members.append(Member(task, process))

    def replace(self, chance: random.Random) -> None:
        """Kill one of the living, and start another of its kind."""
        if living := self.living:
            member = chance.choice(living)
            member.kill()
            self.start(member.task.kind)

    def end(self) -> None:
        """Let the living end, once they have begun, and then the parent's own writer."""
        wait_until(lambda: all(member.has_begun for member in self.living))
        # Also who has ended by itself meanwhile, and should not.
        ending = [(member, member.process) for member in self.members if member.process and member.exit_code is None]
        for _, process in ending:
            process.terminate()
        for member, _ in ending:
            member.wait(_TIMEOUT)
        with self._parent.task.words.open("a") as words, redirect_stderr(words):
            processes.finish(processes.writers(), _TIMEOUT)

    def close(self) -> None:
        """Let no process live on."""
        for member in self.living:
            member.kill()
