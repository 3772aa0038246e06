"""
The program that measures what a log call costs who makes it, once for each figure and Python.

It calls in bursts, as a request does, and the quickest one counts: on a machine that is shared, all the others had
company. Neither queue has anybody who works it off meanwhile, since that is another cost, of the process: our writer
waits for its conninfo, the stock handler's queue is emptied after each burst. Without that the collector would walk
through all that waits in it; ours holds nothing that it looks at. What the call costs without them, the NullHandler's
time, is subtracted: with ``audit(...)``, as that is in a program with an audit handler. The collector runs as it always
does.
"""

import gc
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from logging.handlers import QueueHandler
from queue import Empty, SimpleQueue
from typing import Any

from pglog_audit import AuditHandler

from .scale import in_turns
from .workload import log, log_nested, logger_with, nested_metadata

_BURST = 50
_WARM_UP = 25
"""Calls before each burst that are not timed: what was done since the last one has taken the caches."""


@dataclass(frozen=True)
class Candidate:
    """What is measured: *calls* makes that many, *clear* comes after a burst."""

    calls: Callable[[int], object]
    clear: Callable[[], object] = lambda: None


def main(letter: str, bursts: int, spool: str) -> dict[str, float]:
    """
    Return the microseconds of one call in the quickest burst, by what was called.

    They take turns, so that a busy moment of the machine meets all of them.
    """
    measurements = {name: partial(_time_burst, each) for name, each in _candidates(letter, spool).items()}
    in_turns(bursts, measurements)
    gc.collect()
    return {name: min(numbers) for name, numbers in in_turns(bursts, measurements).items()}


def _candidates(letter: str, spool: str) -> Mapping[str, Candidate]:
    """Return what a figure compares; ours is first, so that it hears the first event of the place that logs."""
    match letter:
        case "a":
            return {"ours": _ours(log), "null": _null(log), "stock": _stock()}
        case "b":
            return {"ours": _ours(log_nested), "null": _null(log_nested), "dumps": Candidate(_dump)}
        case _:
            return {"ours": _ours(log, spool=spool, journal=True), "null": _null(log), "stock": _stock()}


def _ours(calls: Callable[[logging.Logger, int], None], **options: Any) -> Candidate:
    handler = AuditHandler(_wait_for_ever, capacity=10_000_000, max_bytes=2**32, batch_size=1, **options)
    logger = logger_with("ours", handler)

    def clear() -> None:
        """Do what the writer does with what waits, but for the rows."""
        assert handler._writer is not None
        line_queue, backlog = handler._writer.lines, handler._writer.writer.backlog
        line_queue.settled += len(line_queue.take_many(line_queue.take_items(), lambda _: None, ""))
        if backlog is not None:
            backlog.forget(line_queue.settled)

    return Candidate(lambda count: calls(logger, count), clear)


def _wait_for_ever() -> str:
    threading.Event().wait()
    return ""


def _null(calls: Callable[[logging.Logger, int], None]) -> Candidate:
    logger = logger_with("null", logging.NullHandler())
    return Candidate(lambda count: calls(logger, count))


def _stock() -> Candidate:
    queue: SimpleQueue[logging.LogRecord] = SimpleQueue()
    logger = logger_with("stock", QueueHandler(queue))

    def clear() -> None:
        try:
            while True:
                queue.get_nowait()
        except Empty:
            return

    return Candidate(lambda count: log(logger, count), clear)


def _dump(count: int) -> None:
    for metadata in nested_metadata(count):
        json.dumps(metadata)


def _time_burst(candidate: Candidate) -> float:
    candidate.calls(_WARM_UP)
    begin = time.perf_counter()
    candidate.calls(_BURST)
    end = time.perf_counter()
    candidate.clear()
    return (end - begin) / _BURST * 1e6


if __name__ == "__main__":
    letter, bursts, spool = sys.argv[1:]
    print(json.dumps(main(letter, int(bursts), spool)), flush=True)
    os._exit(0)  # what waits was never meant to be written
