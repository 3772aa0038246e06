"""The whole trip in one process, from the log call to the row, against the stock pair with one INSERT a record."""

import time
from dataclasses import dataclass
from statistics import median

import psycopg

from .figures import Measured
from .peers import Recorder, ours, stock_pair
from .scale import Scale, ratio
from .server import Database, Server

_EVENTS, _EVENTS_OF_PAIR = 60_000, 4_000
_WARM_UP = 200
_COUNT = "SELECT count(*) FROM audit_log WHERE action NOT LIKE 'audit.%'"


@dataclass
class Trips:
    """The trips through one recorder: of each round the events a second, and the process's CPU time for an event."""

    recorder: Recorder
    count: int
    events_per_s: list[float]
    cpu_us: list[float]

    def go(self) -> None:
        """Log *count* events, and wait until all are rows."""
        begin, cpu = time.perf_counter(), time.process_time()
        self.recorder.log(self.count)
        self.recorder.finish()
        self.events_per_s.append(self.count / (time.perf_counter() - begin))
        self.cpu_us.append((time.process_time() - cpu) / self.count * 1e6)


def measure(scale: Scale, server: Server) -> dict[str, Measured]:
    """Measure the figures e and f, in the same rounds."""
    with server.database() as first, server.database() as second, ours(first) as mine, stock_pair(second) as pair:
        for recorder in (mine, pair):
            recorder.log(_WARM_UP)
            recorder.finish()
        our = Trips(mine, scale.events(_EVENTS), [], [])
        their = Trips(pair, scale.events(_EVENTS_OF_PAIR), [], [])
        for n in range(scale.rounds):
            for trips in (our, their) if n % 2 == 0 else (their, our):
                trips.go()
        _check(first, _WARM_UP + our.count * scale.rounds)
        _check(second, _WARM_UP + their.count * scale.rounds)
    return {"e": _compared("events_per_s", our, their), "f": _compared("cpu_us", our, their)}


def _compared(what: str, our: Trips, their: Trips) -> Measured:
    ours, theirs = getattr(our, what), getattr(their, what)
    return Measured(ratio(ours, theirs), {f"ours_{what}": median(ours), f"stock_pair_{what}": median(theirs)})


def _check(database: Database, expected: int) -> None:
    with psycopg.connect(database.owner) as connection:
        row = connection.execute(_COUNT).fetchone()
    if row != (expected,):
        raise RuntimeError(f"{row} rows were made of {expected} events")
