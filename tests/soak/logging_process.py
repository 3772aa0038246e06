"""A process that logs from several threads, and counts the calls that returned."""

import logging
import os
import random
import signal
import threading
import warnings
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Literal

from pglog_audit import audit
from tests.soak.returned import ReturnedCalls
from tests.support import configure

_LONGEST = 2_000
"""Characters that an event has more than it needs, at most: segments are to be filled."""


@dataclass(frozen=True)
class Kind:
    """How a process begins and logs: a forked one through the handler of its parent, a spawned one with its own."""

    start_method: Literal["fork", "spawn"]
    threads: int
    rate: float
    """Events a second, of each thread."""
    options: dict[str, Any] = field(default_factory=dict)
    """Of its handler, beside those of all."""


KINDS = (
    Kind("fork", threads=3, rate=60),
    Kind("spawn", threads=2, rate=100, options={"fsync": "never"}),
    Kind("fork", threads=1, rate=250),
    Kind("spawn", threads=4, rate=10, options={"fsync": "always"}),
)


@dataclass(frozen=True)
class Task:
    """What one process is told."""

    number: int
    kind: Kind
    conninfo: str
    options: dict[str, Any]
    returned: Path
    """Where it counts."""
    words: Path
    """What it says on stderr."""
    seed: int
    parent: int
    """Its process id."""


def run(task: Task) -> None:
    """Log until SIGTERM comes, or the parent is gone."""
    _prepare(task)
    logger = logging.getLogger("audit")
    if not logger.handlers:
        configure(task.conninfo, **task.options, **task.kind.options)
    stop, returned = threading.Event(), ReturnedCalls(task.returned)
    threads = [
        threading.Thread(target=_log_on, args=(logger, task, thread, returned, stop))
        for thread in range(task.kind.threads)
    ]
    for each in threads:
        each.start()
    while signal.sigtimedwait([signal.SIGTERM], 1) is None and os.getppid() == task.parent:
        pass
    stop.set()
    for each in threads:
        each.join()


def _prepare(task: Task) -> None:
    """Say everything in the process's own file, and leave Ctrl-C to the parent."""
    with task.words.open("ab") as words:
        os.dup2(words.fileno(), 2)
    logging.root.handlers.clear()  # a forked one has the parent's
    warnings.simplefilter("error")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Waited for instead of handled: a handler may not touch the event for which threads wait.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])


def _log_on(logger: logging.Logger, task: Task, thread: int, returned: ReturnedCalls, stop: threading.Event) -> None:
    """Log at random moments, as often as the rate says, until *stop*."""
    chance = random.Random(f"{task.seed} {task.number} {thread}")
    for n in count():
        log(logger, task.number, thread, n, "x" * chance.randrange(_LONGEST))
        returned.add(thread)
        if stop.wait(chance.expovariate(task.kind.rate)):
            return


def log(logger: logging.Logger, process: int, thread: int, n: int, text: str = "") -> None:
    """Log event *n* of a thread."""
    metadata = {"process": process, "thread": thread, "n": n, "text": text}
    logger.info("Logged", extra=audit("soak.log", metadata=metadata))
