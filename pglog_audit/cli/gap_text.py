"""Gaps to read: a line for each, below the writer whose numbers they are of."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.text import Text

from ..gaps import Gap
from .terminal import printable

_STYLES = {"unexplained": "bold red", "malformed": "bold red", "repeated": "bold yellow", "tail": "yellow"}
_WIDTH = len("unexplained")
_INDENT = "  "


def gap_lines(gaps: Iterable[Gap], console: Console) -> Iterator[str]:
    """
    Yield the lines of *gaps* as *console* shows them, with the writer and its origin before the first of its gaps.

    Nothing in them reaches the terminal as markup or control sequence, and what a row says never begins a line.
    """
    writer = None
    for gap in gaps:
        if gap.writer_id != writer:
            writer = gap.writer_id
            yield _writer(gap, console)
        yield _line(gap.kind, _told(gap), console)


def summary(found: Counter[str], writers: int) -> str:
    """Return in a sentence what was *found*: by kind, and the events of each as ``"events unexplained"``."""
    parts = [_events(found["events unexplained"], "missing without an explanation")]
    if found["explained"]:
        parts.append(_events(found["events explained"], "missing with one"))
    if found["tail"]:
        parts.append(f"{_number(found['tail'], 'writer')} without a stop: running, or killed")
    if found["repeated"]:
        parts.append(f"{_number(found['repeated'], 'number')} in several rows")
    if found["malformed"]:
        parts.append(f"{_number(found['malformed'], 'gap row')} that no writer wrote")
    return f"{_number(writers, 'writer')} looked at: {'; '.join(parts)}."


def _events(count: int, how: str) -> str:
    return f"{_number(count, 'event')} {how}" if count else f"no event {how}"


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _writer(gap: Gap, console: Console) -> str:
    parts = (gap.service, gap.host and f"on {gap.host}", None if gap.pid is None else f"pid {gap.pid}")
    origin = " ".join(filter(None, parts))
    return _shown([Text(f"writer {gap.writer_id}", "bold")], console) + (
        _line("origin", origin, console) if origin else ""
    )


def _told(gap: Gap) -> str:
    match gap.kind:
        case "tail":
            return f"from {gap.first_seq} on: no stop; the last row is of {_seconds(gap.after)}"
        case "repeated":
            return f"{gap.first_seq}: {gap.count} rows"
        case "malformed":
            return f"gap row {gap.gap_id} of {_seconds(gap.told_at)} explains nothing: no writer wrote it"
        case "explained":
            return f"{_range(gap)}: {gap.reason}, told {_seconds(gap.told_at)}"
        case _:
            return f"{_range(gap)}: {_between(gap)}"


def _range(gap: Gap) -> str:
    if gap.count == 1:
        return f"{gap.first_seq}"
    return f"{gap.first_seq} to {gap.last_seq}, {gap.count} events"


def _between(gap: Gap) -> str:
    before = f"before {_seconds(gap.before)}"
    return before if gap.after is None else f"after {_seconds(gap.after)}, {before}"


def _seconds(time: Any) -> str:
    return time.isoformat(" ", "seconds") if isinstance(time, datetime) else f"{time or 'an unknown time'}"


def _line(name: str, told: str, console: Console) -> str:
    begin = Text.assemble(_INDENT, (f"{name:{_WIDTH}}", _STYLES.get(name, "")), _INDENT)
    room = max(console.width - begin.cell_len, 10)
    first, *rest = Text(printable(told, console.encoding)).wrap(console, room, overflow="fold")
    return _shown([Text.assemble(begin, first), *(Text(" " * begin.cell_len + line.plain) for line in rest)], console)


def _shown(lines: Iterable[Text], console: Console) -> str:
    with console.capture() as captured:
        for line in lines:
            line.rstrip()
            console.print(line, soft_wrap=True)
    return captured.get()
