"""
Fork many children, several at a time, while threads log; each child logs with its number as the message and ends.

Arguments: the options as JSON, how many children, how many at a time, and how many events each. Prints how many events
the threads logged.
"""

import json
import logging
import os
import sys
import threading

from pglog_audit import AuditHandler, audit

logger = logging.getLogger("audit")
logger.setLevel(logging.INFO)
logger.addHandler(AuditHandler(**json.loads(sys.argv[1])))
children, at_a_time, count = map(int, sys.argv[2:])
stop = threading.Event()


def log(name: str, count: int) -> None:
    """Log *count* events."""
    for n in range(count):
        logger.info(name, extra=audit("ticket.open", metadata={"n": n}))


def keep_logging(done: list[int]) -> None:
    """Log until told to stop, and say how many events."""
    logged = 0
    while not stop.wait(0.002):
        log("parent", 1)
        logged += 1
    done.append(logged)


def work(number: int) -> None:
    """Log in a child, which then ends past all hooks; a few end in the ordinary way, which takes ten times as long."""
    log(str(number), count)
    if number % 40:
        os._exit(logger.handlers[0].flush(60))
    sys.exit()


def wait_for_one() -> None:
    """Wait for a child to end well."""
    pid, status = os.wait()
    assert status == 0, (pid, status)


def main() -> None:
    """Do all of it."""
    done: list[int] = []
    threads = [threading.Thread(target=keep_logging, args=(done,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(children):
        if number >= at_a_time:
            wait_for_one()
        if os.fork() == 0:
            work(number)
    for _ in range(min(children, at_a_time)):
        wait_for_one()
    stop.set()
    for thread in threads:
        thread.join()
    print(sum(done))


main()
