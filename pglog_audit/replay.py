"""The step by which lines on disk become rows: for the handler that goes on for ever, and for the command that ends."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from uuid_utils import uuid7

from . import lines
from .finishing import created, finish_all
from .number_ranges import NumberRanges
from .spool import Spool, Taken
from .written import MAX_BATCH_BYTES, Refusal, Written


@dataclass(frozen=True)
class Replayed:
    """What became of one batch; if lines of it are left, all of it comes again, and what was stored is a duplicate."""

    taken: Taken
    lines: list[str]
    """The lines of *taken*, finished."""
    written: Written


def replay(spool: Spool, write: Callable[..., Written], max_lines: int, *, others_fit: bool) -> Replayed | None:
    """
    Make rows of the next lines of *spool*, at most *max_lines*; return None if there are no more for now.

    What can be no row goes to the rejects, and a row explains its absence: nothing leaves its segment before.

    :param write: makes rows of lines, as :meth:`PostgresHandler.write` does.
    :param others_fit: whether the table takes other lines at this moment, so that a refusal is a line's own fault.
    """
    taken = spool.take(max_lines, MAX_BATCH_BYTES)
    if taken is None:
        return None

    try:
        batch = [_finished(text, taken.writer_id) for text in taken.lines]
        read_on = partial(spool.read_on, max_lines, MAX_BATCH_BYTES)
        written = write(batch, others_fit=others_fit, meanwhile=read_on)
        if not written.left:
            written = _with_rejects(spool, write, taken, written)
        if not written.left:
            spool.acknowledge(taken)
            return Replayed(taken, batch, written)
    except BaseException:
        spool.rewind()
        raise
    spool.rewind()
    return Replayed(taken, batch, written)


def _finished(text: str, writer_id: str) -> str:
    """Return the line of a *text* in a segment, where a journal has what a log call says."""
    if text.startswith("{"):
        return text
    seq, snapshot = lines.split_recorded(text.encode())
    return finish_all([snapshot], lambda: lines.recorded_heads([seq], [created(snapshot)], writer_id))[0]


def _with_rejects(spool: Spool, write: Callable[..., Written], taken: Taken, written: Written) -> Written:
    """Put to the rejects what can be no row, and return what came of all: without room there, all lines are left."""
    are_kept = all(spool.reject(each.line, each.sqlstate, each.reason) for each in written.refused)
    if not (are_kept and all(spool.reject(bad.raw, None, bad.reason) for bad in taken.bad)):
        return replace(written, left=list(taken.lines), problem=spool.problem, verdict=None)
    told = write(list(_gaps(written.refused)), others_fit=True)
    return replace(written, left=told.left, problem=told.problem, verdict=told.verdict) if told.left else written


def _gaps(refused: Iterable[Refusal]) -> Iterator[str]:
    """Yield for each writer of *refused* the line that explains the gap in its numbers; it has none of its own."""
    ranges: defaultdict[str, NumberRanges] = defaultdict(NumberRanges)
    for each in refused:
        event = lines.parse(each.line)
        if "writer_id" in event and "writer_seq" in event:
            ranges[event["writer_id"]].add(event["writer_seq"], event["writer_seq"], 1)
    for writer_id, lost in ranges.items():
        metadata = {"reason": "rejected", "ranges": lost.ranges, "count": lost.count}
        head = {"id": str(uuid7()), "writer_id": writer_id, "occurred_at": time.time()}
        yield lines.render({**head, "action": f"{lines.OWN}gap", "outcome": "failure", "metadata": metadata})
