"""
The program that logs with a spool while the database is up or down, and prints what that costs its process.

Calls come in bursts with pauses, as requests do: in a loop without any the longest ones are those that wait for the
interpreter, which the writer's thread has at that moment.
"""

import json
import logging
import resource
import sys
import time

from pglog_audit import AuditHandler, stats

from .workload import log, logger_with

_WARM_UP = 2_000
_BURST, _PAUSE = 20, 0.005


def main(what: str, conninfo: str, spool: str, count: int) -> dict[str, float]:
    """Return the numbers of *what*: ``calls`` or ``memory``."""
    handler = AuditHandler(conninfo, spool=spool)
    logger = logger_with("outage", handler)
    log(logger, _WARM_UP)
    handler.flush(5)
    numbers = {"calls": _calls, "memory": _memory}[what](logger, count)
    handler.flush(60)
    kept = stats()
    if kept["stored"] + kept["spooled"] < _WARM_UP + count:
        raise RuntimeError(f"events were lost: {kept}")
    return numbers


def _calls(logger: logging.Logger, count: int) -> dict[str, float]:
    """Return the microseconds of the call that 999 of 1,000 are faster than."""
    took = []
    for _ in range(count // _BURST):
        for _ in range(_BURST):
            begin = time.perf_counter()
            log(logger, 1)
            took.append(time.perf_counter() - begin)
        time.sleep(_PAUSE)
    return {"p999_us": sorted(took)[-1 - len(took) // 1000] * 1e6}


def _memory(logger: logging.Logger, count: int) -> dict[str, float]:
    """Return the megabytes (MB) by which the process was at most larger than before."""
    before = _peak()
    log(logger, count)
    return {"growth_mb": _peak() - before}


def _peak() -> float:
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size / 1e6 if sys.platform == "darwin" else size * 1024 / 1e6


if __name__ == "__main__":
    what, conninfo, spool, count = sys.argv[1:]
    print(json.dumps(main(what, conninfo, spool, int(count))))
