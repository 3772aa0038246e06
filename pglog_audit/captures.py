"""Who captures events: while somebody does, handlers take them as ever, and write nothing."""

import logging
from collections.abc import Callable

sinks: tuple[Callable[[str], object], ...] = ()
"""Called with the snapshot of each event."""


def capture(record: logging.LogRecord, formatter: logging.Formatter) -> None:
    """Give the snapshot of *record* to all who capture."""
    give(formatter.format(record))


def give(snapshot: str) -> None:
    """Give *snapshot* to all who capture."""
    for sink in sinks:
        sink(snapshot)
