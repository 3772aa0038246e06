"""
Do what each line of stdin says, and answer it with a line of JSON: the counters.

The options are the first argument, as JSON; a second one is the writer's id. The lines:

- ``log N``: log N events more, numbered in their metadata;
- ``descriptors N``: from now on have at most N open files more than now, or with a negative N as many as before;
- ``memory``: answer also with the most memory so far, in bytes;
- ``flush``: wait until nothing waits in memory.
"""

import json
import logging
import os
import re
import resource
import sys
from pathlib import Path
from uuid import UUID

from pglog_audit import AuditHandler, audit, postgres_handler

if len(sys.argv) > 2:
    writer_id = UUID(sys.argv[2])
    postgres_handler.uuid7 = lambda: writer_id
handler = AuditHandler(**json.loads(sys.argv[1]))
logger = logging.getLogger("audit")
logger.setLevel(logging.INFO)
logger.addHandler(handler)
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
logged = 0


def log(count: int) -> None:
    """Log *count* events."""
    global logged
    for _ in range(count):
        logger.info("Ticket opened", extra=audit("ticket.open", metadata={"n": logged}))
        logged += 1


def limit_descriptors(more: int) -> None:
    """Let the process open *more* files than it has, or with a negative number as many as before."""
    limit = most
    if more >= 0:
        free = os.open(os.devnull, os.O_RDONLY)
        os.close(free)
        limit = free + more
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, most))


def peak_memory() -> int:
    """Return the most bytes in memory so far; getrusage(2) would begin with those of the parent."""
    (peak,) = re.findall(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    return int(peak) * 1024


for line in sys.stdin:
    command, _, number = line.strip().partition(" ")
    if command == "log":
        log(int(number))
    elif command == "descriptors":
        limit_descriptors(int(number))
    elif command == "flush":
        handler.flush(30)
    peak = {"peak_memory": peak_memory()} if command == "memory" else {}
    print(json.dumps({**handler.stats(), **peak}), flush=True)
