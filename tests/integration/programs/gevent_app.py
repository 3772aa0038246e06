"""Log from greenlets; gevent patches first, or only when the handler is there: the argument says which."""

import sys

from gevent import monkey

if sys.argv[1] == "first":
    monkey.patch_all()

import logging
import time

from pglog_audit import AuditHandler, audit

logger = logging.getLogger("audit")
logger.setLevel(logging.INFO)
logger.addHandler(AuditHandler())

if sys.argv[1] == "late":
    monkey.patch_all()

import gevent  # noqa: E402


def work(name: int) -> None:
    """Log, and let the others run in between."""
    for n in range(10):
        logger.info("Worked", extra=audit("work.do", metadata={"greenlet": name, "n": n}))
        gevent.sleep(0.01)


gevent.joinall([gevent.spawn(work, name) for name in range(5)], raise_error=True)
# A writer that stopped the other greenlets would have kept this one from here.
assert logger.handlers[0].flush(30) == 0
print(time.sleep.__module__)
