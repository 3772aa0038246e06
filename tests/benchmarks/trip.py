"""
The whole trip in one process, from the log call to the row, against the stock pair with one INSERT a record.

Each round begins with an empty table, since a full one takes rows more slowly, and ours would be the fuller one. Next
to the two it measures what no writer behind these log calls gets past: COPY of such rows, which is what the server
takes on one connection, and the CPU time of the same calls with a NullHandler.
"""

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from statistics import median

import psycopg

from .figures import Measured
from .peers import Recorder, ours, stock_pair
from .scale import Scale, ratio
from .server import Database, Server
from .workload import log, logger_with
from .writer import copied_per_s

_EVENTS, _EVENTS_OF_PAIR, _COPIED = 60_000, 4_000, 20_000
_WARM_UP = 200
_COUNT = "SELECT count(*) FROM audit_log WHERE action NOT LIKE 'audit.%'"


@dataclass
class Trips:
    """The trips through one kind of recorder: of each round the events a second, and the CPU time for an event."""

    recorder: Callable[[Database], AbstractContextManager[Recorder]]
    count: int
    events_per_s: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)

    def go(self, database: Database) -> None:
        """Log *count* events, and wait until all are rows of *database*, which is empty."""
        with self.recorder(database) as recorder:
            recorder.log(_WARM_UP)
            recorder.finish()
            begin, cpu = time.perf_counter(), time.process_time()
            recorder.log(self.count)
            recorder.finish()
            self.events_per_s.append(self.count / (time.perf_counter() - begin))
            self.cpu_us.append((time.process_time() - cpu) / self.count * 1e6)
        _check(database, _WARM_UP + self.count)


def measure(scale: Scale, server: Server) -> dict[str, Measured]:
    """Measure the figures e and f, in the same rounds."""
    our, their = Trips(ours, scale.events(_EVENTS)), Trips(stock_pair, scale.events(_EVENTS_OF_PAIR))
    copied, alone = list[float](), list[float]()
    for n in range(scale.rounds):
        for trips in (our, their) if n % 2 == 0 else (their, our):
            with server.database() as database:
                trips.go(database)
        alone.append(_cpu_us_alone(our.count))
        with server.database() as database, psycopg.connect(database.writer, autocommit=True) as connection:
            copied.append(copied_per_s(connection, scale.events(_COPIED)))
    return {
        "e": _compared("events_per_s", our, their, {"copy_rows_per_s": median(copied)}),
        "f": _compared("cpu_us", our, their, {"call_alone_cpu_us": median(alone)}),
    }


def _cpu_us_alone(count: int) -> float:
    logger, begin = logger_with("alone", logging.NullHandler()), time.process_time()
    log(logger, count)
    return (time.process_time() - begin) / count * 1e6


def _compared(what: str, our: Trips, their: Trips, bound: dict[str, float]) -> Measured:
    ours, theirs = getattr(our, what), getattr(their, what)
    return Measured(ratio(ours, theirs), {f"ours_{what}": median(ours), f"stock_pair_{what}": median(theirs), **bound})


def _check(database: Database, expected: int) -> None:
    with psycopg.connect(database.owner) as connection:
        row = connection.execute(_COUNT).fetchone()
    if row != (expected,):
        raise RuntimeError(f"{row} rows were made of {expected} events")
