"""
The places that make audit events: each is watched until one of its events reaches an audit handler.

An event that no handler hears would be lost in silence: the logger's level is above the record's, the logger is another
one, a LoggerAdapter replaced ``extra``. So the first event of every place, and later one a minute, tells when it is
dropped unheard; the others cost a look at a set and at the clock.
"""

import logging
import os
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from time import monotonic
from types import CodeType, FrameType
from typing import Any, NamedTuple

from . import diagnostics
from .logger_tree import all_loggers

_known: set[int] = set()
"""Places that are not watched now."""
_told: set[int] = set()
"""Places that were told of."""
_known_until = 0.0
"""When the others are forgotten, by time.monotonic(): what was heard once may be heard no more."""
_INTERVAL = 60.0
_MAKE_RECORD = logging.Logger.makeRecord.__code__
_is_expected = False


class Place(NamedTuple):
    """Where code stands, without holding its frame."""

    code: CodeType
    instruction: int
    line: int

    @classmethod
    def of(cls, frame: FrameType) -> "Place":
        """Return the place of *frame*, now."""
        return cls(frame.f_code, frame.f_lasti, frame.f_lineno)


class CallSite:
    """A place that made an event, and what became of it so far."""

    __slots__ = ("action", "bare", "code", "instruction", "line", "was_logged")

    def __init__(self, action: object, code: CodeType, instruction: int, line: int) -> None:
        self.action = action
        self.code = code
        self.instruction = instruction
        self.line = line
        self.bare: str | None = None
        """The logger at which a record of this place arrived without the event."""
        self.was_logged = False
        """Whether it is known that a logger got the event."""

    def __str__(self) -> str:
        return f"{self.code.co_filename}:{self.line}"

    def is_within(self, frame: FrameType) -> bool:
        """Tell whether *frame* stands in a call that has ours among its arguments: ``info(..., extra=audit(...))``."""
        if frame.f_code is not self.code:
            return False
        outer_begin, outer_end = _extent(frame.f_code, frame.f_lasti)
        begin, end = _extent(self.code, self.instruction)
        return outer_begin <= begin and end <= outer_end


def _extent(code: CodeType, instruction: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return where the source of *instruction* begins and ends (PEP 657), in lines and columns."""
    begin, end, column, end_column = list(code.co_positions())[instruction // 2]
    return (begin or 0, column or 0), (end or 0, end_column or 0)


class WatchedEvent(dict[str, Any]):
    """The ``audit`` of a log record, which warns if it is dropped before an audit handler heard of it."""

    __slots__ = ()

    def __del__(self) -> None:
        site = unheard.pop(id(self), None)
        # Whatever the moment at which the last reference goes, it must not harm whoever drops it.
        if site and not sys.is_finalizing():
            with suppress(Exception):
                _report(site, was_logged=site.was_logged or site.is_within(sys._getframe(1)))

    def __reduce__(self) -> tuple[type[dict[str, Any]], tuple[dict[str, Any]]]:
        """Let copies, which other processes may log, be plain dicts that stand for this one."""
        hear(self)
        return dict, (dict(self),)


class WatchedExtra(dict[str, Any]):
    """The ``extra`` of a watched event, which notes that a logger makes a record of it."""

    __slots__ = ()

    def __getitem__(self, name: str) -> Any:
        value = super().__getitem__(name)
        if sys._getframe(1).f_code is _MAKE_RECORD:
            note_logged(value)
        return value

    def __reduce__(self) -> tuple[type[dict[str, Any]], tuple[dict[str, Any]]]:
        return dict, (dict(self),)


unheard: dict[int, CallSite] = {}
"""The places of events that no handler heard of yet, by the id of the event."""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=unheard.clear)  # which process logs them is not known


def expect() -> None:
    """Expect from now on that events reach an audit handler; without one in the process, nothing is amiss."""
    global _is_expected
    _is_expected = True


def watched(event: dict[str, Any]) -> dict[str, Any]:
    """Return the ``extra`` of a log call: with *event*, watched if that is due at the place that called our caller."""
    if not _is_expected:
        return {"audit": event}
    try:
        caller = sys._getframe(2)
    except ValueError:  # nobody called it but C, an exit hook for one
        return {"audit": event}
    # Cheaper than the place itself. Two places of one number would only share their watch.
    place = id(caller.f_code) + caller.f_lasti
    if (place in _known and monotonic() < _known_until) or not _is_due(place):
        return {"audit": event}
    return WatchedExtra(audit=_watch(event, Place.of(caller)))


def watched_at(event: dict[str, Any], place: Place) -> dict[str, Any]:
    """Return *event*, watched if that is due at *place*."""
    return _watch(event, place) if _is_expected and _is_due(id(place.code) + place.instruction) else event


def _is_due(place: int) -> bool:
    global _known_until
    if (now := monotonic()) >= _known_until:
        _known_until = now + _INTERVAL
        watch_anew()
    if place in _known:
        return False
    _known.add(place)
    return True


def watch_anew() -> None:
    """Watch the next event of each place: what becomes of them may have changed."""
    _known.intersection_update(_told)


def _watch(event: dict[str, Any], place: Place) -> dict[str, Any]:
    first = WatchedEvent(event)
    unheard[id(first)] = CallSite(event.get("action"), *place)
    return first


def note_logged(event: object) -> None:
    """Note that a logger got *event*, whoever drops it later."""
    if site := unheard.get(id(event)):
        site.was_logged = True


def hear(event: object) -> None:
    """Note that *event* reached an audit handler."""
    unheard.pop(id(event), None)


def hear_event_of(record: logging.LogRecord) -> None:
    """Note that the event of *record* reached an audit handler, also if a filter put another dict in its place."""
    event = record.audit  # type: ignore[attr-defined] # it has one
    if unheard.pop(id(event), None) or not unheard or not isinstance(event, Mapping):
        return
    for number, site in list(unheard.items()):
        if _is_of(site, record) and site.action == event.get("action"):
            unheard.pop(number, None)


def hear_bare(record: logging.LogRecord) -> bool:
    """Tell whether *record*, which reached an audit handler without an event, comes from a place that is watched."""
    for number, site in list(unheard.items()):
        if _is_of(site, record):
            site.bare = record.name
            site.was_logged |= _was_given(number, site)
            return True
    return False


def _was_given(number: int, site: CallSite) -> bool:
    """Tell whether a method of logging's, which *site* called, was given the event, whatever it made of it."""
    frame = sys._getframe(2)
    while frame.f_back and frame.f_code is not site.code:
        if frame.f_globals is logging.__dict__:
            extra = frame.f_locals.get("kwargs", {}).get("extra")
            if isinstance(extra, dict) and id(extra.get("audit")) == number:
                return True
        frame = frame.f_back
    return False


def _is_of(site: CallSite, record: logging.LogRecord) -> bool:
    return (site.code.co_filename, site.code.co_name) == (record.pathname, record.funcName)


def takes_events(handler: logging.Handler) -> bool:
    """Tell whether *handler* makes rows of audit records, or hands them to one that does."""
    # A mark instead of the classes: they stand on floors above.
    behind: Iterable[Any] = getattr(getattr(handler, "listener", None), "handlers", ())
    return any(getattr(each, "takes_events", False) for each in (handler, *handler.filters, *behind))


def _report(site: CallSite, *, was_logged: bool) -> None:
    ears = [(logger, handler) for logger in all_loggers() for handler in logger.handlers if takes_events(handler)]
    obstacles = [_obstacle(*ear) for ear in ears]
    if site.bare and was_logged:
        advice = (
            f"its record came to logger {site.bare!r} without extra, which a LoggerAdapter replaces by its own; "
            "make that with merge_extra=True (Python 3.13), or log to the logger itself"
        )
    elif ears and all(obstacles):
        advice = "; ".join(filter(None, obstacles))
    elif not ears and was_logged:
        advice = (
            "no logger has one any more; who configures logging later took it away, as Celery does with those of root "
            "when a worker starts: attach it after that, or to a logger of its own"
        )
    elif was_logged:
        advice = "; ".join(
            _invitation(logger) for (logger, _), obstacle in zip(ears, obstacles, strict=True) if not obstacle
        )
    else:
        advice = ""  # made, and not logged: the application's own decision
    if advice:
        _told.add(id(site.code) + site.instruction)
        text = "The event %r of %s reached no audit handler: %s"
        diagnostics.warn(f"unheard {site}", text, site.action, site, advice)


def _obstacle(logger: logging.Logger, handler: logging.Handler) -> str | None:
    """Return what keeps every event of level INFO on *logger* from *handler*."""
    place = f"logger {logger.name!r}"
    if logger.disabled:
        return f"{place} is disabled, which dictConfig does unless disable_existing_loggers is False"
    if logging.root.manager.disable >= logging.INFO:
        return f"logging.disable({logging.getLevelName(logging.root.manager.disable)}) is in force"
    if handler.level > logging.INFO:
        return f"the handler on {place} has level {logging.getLevelName(handler.level)}; set it to INFO"
    if (level := logger.getEffectiveLevel()) > logging.INFO:
        origin = "" if logger.level else ", as root has"
        return f"{place} has level {logging.getLevelName(level)}{origin}; set its level to INFO"
    return None


def _invitation(logger: logging.Logger) -> str:
    level = logging.getLevelName(logger.getEffectiveLevel())
    return (
        f"logger {logger.name!r} has one and takes {level} and above; log to it or to a child of it, at such a level, "
        "and look for a higher level, propagate=False or a filter on the way"
    )
