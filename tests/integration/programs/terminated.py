"""Log until the end comes, in the way of the argument, and print the number of each event whose call returned."""

import asyncio
import ctypes
import logging
import multiprocessing
import os
import signal
import sys
import threading
from itertools import count

from pglog_audit import AuditHandler, audit, flush, flush_on_sigterm, termination

TIMEOUT = float(os.environ.get("SHUTDOWN_TIMEOUT", "30"))
logger = logging.getLogger("audit")
logger.setLevel(logging.INFO)
logger.addHandler(AuditHandler(capacity=1000, flush_interval=0.05, shutdown_timeout=TIMEOUT))


def log(n: int) -> None:
    """Log an event, and print its number."""
    logger.info("Ticket opened", extra=audit("ticket.open", metadata={"n": n}))
    os.write(1, f"{n}\n".encode())


def keep_logging() -> None:
    """Log without a pause."""
    for n in count():
        log(n)


def log_and_flush() -> None:
    """Be found in the middle of a flush, mostly."""
    for n in count():
        log(n)
        flush(30)


def log_and_catch_all() -> None:
    """Catch what can be caught, and leave a thread behind that never ends."""
    threading.Thread(target=threading.Event().wait).start()
    for n in count():
        try:
            log(n)
        except BaseException:
            os.write(2, b"caught")


async def log_in_tasks() -> None:
    """Log from tasks of an event loop."""

    async def work() -> None:
        for n in count(1):
            log(n)
            await asyncio.sleep(0)

    await asyncio.gather(work(), work())


def log_in_daemons() -> None:
    """Log from threads that nobody waits for, and end when each is busy."""
    begun = [threading.Event() for _ in range(3)]

    def work(first: int) -> None:
        for n in count(first, 3):
            log(n)
            if n > 100:
                begun[first].set()

    for first in range(3):
        threading.Thread(target=work, args=(first,), daemon=True).start()
    for each in begun:
        each.wait()


def log_in_daemons_for_ever() -> None:
    """Be found while threads log that nobody waits for."""
    log_in_daemons()
    threading.Event().wait()


def log_in_children() -> None:
    """Pass the signal on to forked children, and print how they ended."""
    log(0)
    flush(30)
    children, (told, tell) = [], os.pipe()
    for _ in range(3):
        pid = os.fork()
        if pid == 0:
            os.write(tell, b".")
            keep_logging()
        os.read(told, 1)  # Python drops a signal that a child gets before the fork is over
        children.append(pid)
    sys.stdin.readline()
    for pid in children:
        os.kill(pid, signal.SIGTERM)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
    os.write(2, repr(codes).encode())
    os.kill(os.getpid(), signal.SIGTERM)


def log_in_pool() -> None:
    """Let the end of the block terminate the workers, as soon as they have logged."""
    with multiprocessing.get_context("fork").Pool(2) as pool:
        pool.map(log, range(100), chunksize=1)
    os.kill(os.getpid(), signal.SIGTERM)


def be_terminated() -> None:
    """Get the signal, and go on when it has come in Python."""
    os.kill(os.getpid(), signal.SIGTERM)
    while termination._drain is None:
        threading.Event().wait(0.001)


class StuckHandler(logging.Handler):
    """A handler of the application's that never returns from C."""

    def emit(self, record: logging.LogRecord) -> None:
        """Lock a mutex that is locked."""
        mutex, lock = ctypes.create_string_buffer(64), ctypes.CDLL(None).pthread_mutex_lock
        lock(mutex)
        be_terminated()
        lock(mutex)


class SlowHandler(logging.Handler):
    """A handler of the application's that is in C for longer than the drain asks the main thread to wait."""

    def emit(self, record: logging.LogRecord) -> None:
        """Sleep where no signal handler runs, and say so."""
        be_terminated()
        ctypes.CDLL(None).sleep(2)
        os.write(1, b"back\n")


def log_beside(handler: logging.Handler) -> None:
    """Be held by another handler."""
    log(0)
    logger.addHandler(handler)
    logger.info("Nothing of ours")
    threading.Event().wait()


WAYS = {
    "log": keep_logging,
    "flush": log_and_flush,
    "catch": log_and_catch_all,
    "asyncio": lambda: asyncio.run(log_in_tasks()),
    "daemons": log_in_daemons,
    "daemons for ever": log_in_daemons_for_ever,
    "children": log_in_children,
    "pool": log_in_pool,
    "stuck": lambda: log_beside(StuckHandler()),
    "slow": lambda: log_beside(SlowHandler()),
}
assert flush_on_sigterm()
WAYS[sys.argv[1]]()
