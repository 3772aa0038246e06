"""The gaps: whether events of the last weeks are missing that no row explains."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial

import psycopg

from ..errors import SchemaError
from ..finding import Finding
from ..gaps import Gaps
from ..reading import Reader, reading
from ..sql import template
from .planted import PlantedError, refuse_planted
from .subject import Subject

_DAYS = 31
_SECONDS = 10
_COMMAND = f"pglog-audit gaps --since {_DAYS}d"


def check_gaps(subject: Subject) -> Finding:
    """Tell whether events are missing of the writers that wrote in the last weeks, and no row says why."""
    since = datetime.now(UTC) - timedelta(days=_DAYS)
    try:
        refuse_planted(subject, by_reading=True)
    except PlantedError as error:
        return Finding.hidden("gaps", f"not read: {error}")
    gaps = Gaps(partial(_read, subject), subject.place, subject.columns, since=since)
    events, writers = Counter[str](), set()
    try:
        for gap in gaps:
            events[gap.kind] += gap.count or 0
            if gap.kind == "unexplained":
                writers.add(gap.writer_id)
    except psycopg.errors.QueryCanceled:
        return Finding.hidden(
            "gaps", f"not known after {_SECONDS} s of reading the table", f"{_COMMAND} takes its time."
        )
    except SchemaError as error:
        return Finding.hidden("gaps", str(error))
    return _finding(events, len(writers), gaps.writers)


def _finding(events: Counter[str], affected: int, writers: int) -> Finding:
    period = f"the last {_DAYS} days"
    if missing := events["unexplained"]:
        what = "1 event is" if missing == 1 else f"{missing} events are"
        text = f"{what} missing and no row says why, of {affected} of {_writers(writers)} of {period}"
        advice = f"{_COMMAND} --unexplained shows which. What waits in a spool comes when the spool is replayed."
        return Finding.wrong("gaps", text, advice)
    if explained := events["explained"]:
        text = f"what is missing is explained, for {_writers(writers)} of {period}"
        return Finding.ok("gaps", text, f"{_COMMAND} shows why, of {explained} in all.")
    if not writers:
        return Finding.ok("gaps", f"no writer has a row of {period}")
    return Finding.ok("gaps", f"nothing is missing, of {_writers(writers)} of {period}")


def _writers(count: int) -> str:
    return "1 writer" if count == 1 else f"{count} writers"


@contextmanager
def _read(subject: Subject) -> Iterator[Reader]:
    """Read within a time limit: on a big table the answer is not worth what it costs the server."""
    with reading(subject.connection) as reader:
        yield reader.execute(template("limit_reading"), {"timeout": f"{_SECONDS}s"})
