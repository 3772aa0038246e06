"""Capturing: while it goes on, handlers take events as ever, and neither write nor connect."""

import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from .. import call_sites, captures
from ..context import kept_context
from ..logger_tree import way_up
from .events import CapturedEvents


@contextmanager
def capture_audit(*loggers: str, id_types: Mapping[str, str] | None = None) -> Iterator[CapturedEvents]:
    """
    Give the events that are logged inside the block, in all threads of this process; none is written meanwhile.

    :param loggers: names of loggers that are heard, from level INFO on, though no configuration gave them an audit
        handler.
    :param id_types: types of id columns that are not uuid, as ``pglog-audit init --id-type`` takes them:
        ``{"target_id": "bigint"}``. By default all are uuid, with Django those that its migration makes.
    :raises ConfigurationError: *id_types* names what is no id column, or no type of one.

    What is bound inside the block by :func:`pglog_audit.bind_audit_context` ends with it.
    """
    events = CapturedEvents(id_types)
    with ExitStack() as stack:
        stack.enter_context(kept_context())
        stack.enter_context(capturing(events.add))
        for name in loggers:
            ear = Ear(name)
            stack.callback(ear.close)
            ear.open()
        yield events


@contextmanager
def capturing(sink: Callable[[str], object]) -> Iterator[None]:
    """Give each snapshot to *sink* inside the block."""
    captures.sinks = (*captures.sinks, sink)
    _switch()
    try:
        yield
    finally:
        captures.sinks = tuple(each for each in captures.sinks if each is not sink)
        _switch()


@contextmanager
def writing() -> Iterator[None]:
    """Let handlers write inside the block, whoever captures around it."""
    paused, captures.sinks = captures.sinks, ()
    _switch()
    try:
        yield
    finally:
        captures.sinks = paused
        _switch()


_shortcuts: list[tuple[type, Any]] = []
"""What handle() is of handlers that go past the one of all our handlers, which knows of captures."""


def _switch() -> None:
    """Take the shortcut of AuditHandler away as long as somebody captures: it must cost those nothing who do not."""
    kind = getattr(sys.modules.get("pglog_audit.handlers"), "AuditHandler", None)
    if captures.sinks and kind and not _shortcuts:
        _shortcuts.append((kind, kind.__dict__["handle"]))
        del kind.handle
    elif not captures.sinks and _shortcuts:
        kind, shortcut = _shortcuts.pop()
        kind.handle = shortcut  # type: ignore[attr-defined] # as it was


class Ear(logging.Handler):
    """Listen to a logger, from level INFO on, whatever becomes of its configuration, unless the application does."""

    takes_events = True

    def __init__(self, name: str) -> None:
        super().__init__()
        self._logger = logging.getLogger(name)
        self._level: int | None = None

    def open(self) -> None:
        """Listen; again, where logging was configured meanwhile."""
        self._logger.addHandler(self)
        self._logger.disabled = False
        if not self._logger.isEnabledFor(logging.INFO):
            self._level = self._logger.level
            self._logger.setLevel(logging.INFO)

    def close(self) -> None:
        """Leave the logger as it was."""
        self._logger.removeHandler(self)
        if self._level is not None:
            self._logger.setLevel(self._level)
        super().close()

    def emit(self, record: logging.LogRecord) -> None:
        """Capture the event of *record*, unless a handler of the application does."""
        from ..audit_records import find_misplaced, is_audit_record
        from ..formatter import AuditFormatter  # with the encoder, which only who logs an event needs

        others = [handler for _, handler in way_up(logging.getLogger(record.name)) if not isinstance(handler, Ear)]
        if any(map(call_sites.takes_events, others)) or not (is_audit_record(record) or find_misplaced(record)):
            return
        call_sites.hear_event_of(record)
        captures.capture(record, AuditFormatter())
