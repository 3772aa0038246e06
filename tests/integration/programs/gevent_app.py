"""
Log from greenlets; gevent patches first, or only when the handler is there: the argument says which.

With a second argument end by SIGTERM in the end, which flush_on_sigterm() handles, while a greenlet waits.
"""

import sys

from gevent import monkey

if sys.argv[1] == "first":
    monkey.patch_all()

import logging
import os
import signal
import time

from pglog_audit import AuditHandler, audit, flush_on_sigterm

logger = logging.getLogger("audit")
logger.setLevel(logging.INFO)
logger.addHandler(AuditHandler(flush_interval=600 if sys.argv[2:] else 0.25))

if sys.argv[1] == "late":
    monkey.patch_all()

import gevent  # noqa: E402


def work(name: int) -> None:
    """Log, and let the others run in between."""
    for n in range(10):
        logger.info("Worked", extra=audit("work.do", metadata={"greenlet": name, "n": n}))
        gevent.sleep(0.01)


gevent.joinall([gevent.spawn(work, name) for name in range(5)], raise_error=True)
if sys.argv[2:]:
    assert flush_on_sigterm()
    gevent.spawn(os.kill, os.getpid(), signal.SIGTERM)
    gevent.sleep(60)
# A writer that stopped the other greenlets would have kept this one from here.
assert logger.handlers[0].flush(30) == 0
print(time.sleep.__module__)
