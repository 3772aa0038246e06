"""
Log some events, and end in the way that the argument names.

With HELPER set SIGTERM is no end without a drain; with LONG_PAUSES the writer sleeps half a minute after a failure;
with MULTIPROCESSING there are exit hooks of two kinds.
"""

import atexit
import logging
import os
import random
import signal
import sys
import threading
import time
from itertools import count as numbers

from pglog_audit import AuditHandler, audit, flush_on_sigterm

logger = logging.getLogger("audit")
logger.setLevel(logging.INFO)
timeout = float(os.environ.get("SHUTDOWN_TIMEOUT", "5"))
interval = float(os.environ.get("FLUSH_INTERVAL", "0.25"))
options = {"journal": True} if "JOURNAL" in os.environ else {}
if "WRITE_TIMEOUT" in os.environ:
    options["write_timeout"] = float(os.environ["WRITE_TIMEOUT"])
logger.addHandler(
    AuditHandler(shutdown_timeout=timeout, flush_interval=interval, spool=os.environ.get("SPOOL"), **options)
)
if "HELPER" in os.environ:
    assert flush_on_sigterm()
if "MULTIPROCESSING" in os.environ:
    import multiprocessing.util
if "LONG_PAUSES" in os.environ:
    random.uniform = lambda *_: 300.0
if "QUIET" in os.environ:
    logging.getLogger("pglog_audit").addHandler(logging.NullHandler())


def log(count: int) -> None:
    """Log *count* events."""
    for n in range(count):
        logger.info("Ticket opened", extra=audit("ticket.open", metadata={"n": n}))


def log_in_thread() -> None:
    """Log from a thread that outlives the main one."""
    threading.main_thread().join()
    log(10)


def log_in_daemons() -> None:
    """Log from threads that nobody waits for until our own exit hook is done; print how many events it were then."""
    begun, is_over = numbers(), threading.Event()

    def work() -> None:
        while not is_over.is_set():
            next(begun)
            log(1)
            time.sleep(0.0005)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(8)]

    def end() -> None:
        is_over.set()
        for each in threads:
            each.join()
        print(next(begun))

    atexit.register(end)  # runs after ours
    for each in threads:
        each.start()
    time.sleep(0.2)


way, count = sys.argv[1], int(sys.argv[2])
if way == "hooks":
    atexit.register(log, 10)  # runs after ours, which the first record registers
log(count)
if way == "hooks":
    atexit.register(log, 10)  # runs before ours
elif way == "daemons":
    log_in_daemons()
elif way == "sys.exit":
    sys.exit(3)
elif way == "exception":
    raise LookupError("nobody caught this")
elif way == "thread":
    threading.Thread(target=log_in_thread).start()
elif way == "sigint":
    print("ready", flush=True)
    signal.pause()
elif way == "os._exit":
    os._exit(5)
elif way == "sigterm":
    signal.raise_signal(signal.SIGTERM)
elif way == "wait":
    print("ready", flush=True)
    sys.stdin.read()
elif way == "shutdown":
    logging.shutdown()
    log(10)
elif way == "late":
    import multiprocessing  # noqa: F401 - after the first record

    log(10)
