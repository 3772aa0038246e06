"""The tree of loggers, as logging walks it."""

import logging
from collections.abc import Iterator


def all_loggers() -> Iterator[logging.Logger]:
    """Give every logger that somebody asked for."""
    yield logging.root
    for known in list(logging.root.manager.loggerDict.values()):
        if isinstance(known, logging.Logger):  # and no placeholder for the parent of one
            yield known


def way_up(logger: logging.Logger) -> Iterator[tuple[logging.Logger, logging.Handler]]:
    """Give the handlers that a record of *logger* reaches, each with the logger that has it."""
    current: logging.Logger | None = logger
    while current:
        for handler in current.handlers:
            # A test would take pytest's capture, which is on every logger, for somebody who listens.
            if not type(handler).__module__.startswith("_pytest."):
                yield current, handler
        current = current.parent if current.propagate else None
