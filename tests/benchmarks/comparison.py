"""Ours and the peers side by side: what a log call costs, and how many rows a second come of them."""

import time
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from statistics import median

from .peers import RECORDERS, Recorder
from .scale import Scale, in_turns
from .server import Server

_OURS = next(iter(RECORDERS))
_ROWS, _ROWS_OF_PEERS = 20_000, 2_000
_BURST, _BURSTS = 50, 20
_WARM_UP = 5


@dataclass(frozen=True)
class Cost:
    """The microseconds of a log call, and the rows a second from the first call to the last row."""

    call_us: float
    rows_per_s: float


def compare(scale: Scale, server: Server) -> dict[str, Cost]:
    """Measure all in turns, each with its connection, thread and table as in an application."""
    with server.database() as database, ExitStack() as stack:
        recorders = {name: stack.enter_context(open_(database)) for name, open_ in RECORDERS.items()}
        for recorder in recorders.values():
            _rows_per_s(recorder, 100)
        calls = in_turns(scale.rounds, {name: partial(_call_us, each) for name, each in recorders.items()})
        rates = {name: partial(_rows_per_s, each, _rows(name, scale)) for name, each in recorders.items()}
        rows = in_turns(scale.rounds, rates)
        return {name: Cost(median(calls[name]), median(rows[name])) for name in recorders}


def _rows(name: str, scale: Scale) -> int:
    return scale.events(_ROWS if name == _OURS else _ROWS_OF_PEERS)


def _call_us(recorder: Recorder) -> float:
    """Return the microseconds of a call in the median burst, before which all is written that came earlier."""
    return median(_time_burst(recorder) for _ in range(_BURSTS))


def _time_burst(recorder: Recorder) -> float:
    recorder.log(_WARM_UP)
    begin = time.perf_counter()
    recorder.log(_BURST)
    end = time.perf_counter()
    recorder.finish()
    return (end - begin) / _BURST * 1e6


def _rows_per_s(recorder: Recorder, count: int) -> float:
    begin = time.perf_counter()
    recorder.log(count)
    recorder.finish()
    return count / (time.perf_counter() - begin)
