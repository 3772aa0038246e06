"""
The places that make audit events: each is watched until one of its events reaches an audit handler.

An event that no handler hears would be lost in silence: the logger's level is above the record's, the logger is another
one, a LoggerAdapter replaced ``extra``. So the first event of every place tells when it is dropped unheard; the later
ones cost a look into a set.
"""

import logging
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from . import diagnostics
from .logger_tree import all_loggers

_known: set[int] = set()
_is_expected = False


@dataclass(slots=True)
class CallSite:
    """A place that called ``audit``, and what became of its event so far."""

    action: object
    path: str
    line: int
    function: str
    bare: str | None = None
    """The logger at which a record of this place arrived without the event."""

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


class WatchedEvent(dict[str, Any]):
    """The ``audit`` of a log record, which warns if it is dropped before an audit handler heard of it."""

    __slots__ = ()

    def __del__(self) -> None:
        site = _unheard.pop(id(self), None)
        # Whatever the moment at which the last reference goes, it must not harm whoever drops it.
        if site and not sys.is_finalizing():
            with suppress(Exception):
                _report(site)

    def __reduce__(self) -> tuple[type[dict[str, Any]], tuple[dict[str, Any]]]:
        """Let copies and what another process unpickles be plain dicts."""
        return dict, (dict(self),)


_unheard: dict[int, CallSite] = {}


def expect() -> None:
    """Expect from now on that events reach an audit handler; without one in the process, nothing is amiss."""
    global _is_expected
    _is_expected = True


def watched(event: dict[str, Any]) -> dict[str, Any]:
    """Return *event*, watched if it is the first of the place that called our caller."""
    if not _is_expected:
        return event
    try:
        caller = sys._getframe(2)
    except ValueError:  # nobody called it but C, an exit hook for one
        return event
    # Cheaper than the place itself. Two places of one number would only share their watch.
    place = id(caller.f_code) + caller.f_lasti
    if place in _known:
        return event
    _known.add(place)
    first = WatchedEvent(event)
    code = caller.f_code
    _unheard[id(first)] = CallSite(event.get("action"), code.co_filename, caller.f_lineno, code.co_name)
    return first


def hear(event: object) -> None:
    """Note that *event* reached an audit handler."""
    if _unheard:
        _unheard.pop(id(event), None)


def hear_bare(record: logging.LogRecord) -> None:
    """Note that *record* reached an audit handler without an event, if a place that is watched made it."""
    for site in list(_unheard.values()):
        if (site.path, site.function) == (record.pathname, record.funcName):
            site.bare = record.name


def takes_events(handler: logging.Handler) -> bool:
    """Tell whether *handler* makes rows of audit records, or hands them to one that does."""
    # A mark instead of the classes: they stand on floors above.
    behind: Iterable[Any] = getattr(getattr(handler, "listener", None), "handlers", ())
    return any(getattr(each, "takes_events", False) for each in (handler, *handler.filters, *behind))


def _report(site: CallSite) -> None:
    ears = [(logger, handler) for logger in all_loggers() for handler in logger.handlers if takes_events(handler)]
    if not ears:
        return  # nobody listens any more: not configured is no mistake
    diagnostics.warn(
        f"unheard {site}",
        "The event %r of %s reached no audit handler: %s",
        site.action,
        site,
        _advice_for_bare(site.bare) if site.bare else "; ".join(_advice(*ear) for ear in ears[:3]),
    )


def _advice_for_bare(name: str) -> str:
    return (
        f"its record came to logger {name!r} without extra, which a LoggerAdapter replaces by its own; "
        "make that with merge_extra=True (Python 3.13), or log to the logger itself"
    )


def _advice(logger: logging.Logger, handler: logging.Handler) -> str:
    place = f"logger {logger.name!r}"
    if logger.disabled:
        return f"{place} is disabled, which dictConfig does unless disable_existing_loggers is False"
    if logging.root.manager.disable >= logging.INFO:
        return f"logging.disable({logging.getLevelName(logging.root.manager.disable)}) is in force"
    if handler.level > logging.INFO:
        return f"the handler on {place} has level {logging.getLevelName(handler.level)}; set it to INFO"
    level = logger.getEffectiveLevel()
    if level > logging.INFO:
        origin = "" if logger.level else ", as root has"
        return f"{place} has level {logging.getLevelName(level)}{origin}; set its level to INFO"
    return (
        f"{place} has one and takes {logging.getLevelName(level)} and above; log to it or to a child of it, and "
        "look for a higher level, propagate=False or a filter on the way"
    )
