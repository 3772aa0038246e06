"""
What is left to do with a snapshot after the log call: all that can be told from its text.

A log call encodes its event as it is. The writer, which has the time, looks at names and texts; the usual event stands
as it is, and the others are cleaned as they would have been in the call.
"""

import logging
import math
from typing import Any
from uuid import UUID

import orjson

from . import diagnostics
from .careful_lines import ACTION, CLEANED, CarefulLines
from .cleaning import PLAIN_FIELDS, PLAIN_TEXT, Cleaner, may_hold_secret
from .event import OUTCOMES
from .masking import Masker

EXACT_TYPES = frozenset({str, int, bool, type(None), UUID})
"""Types whose values the encoder takes without a change, or not at all."""

_MAX_CONTAINERS = 1000
_MOST_ACTIONS = 10_000
_places: dict[object, tuple[str, int]] = {}
"""Where each action was logged first, for warnings: path and line."""


def is_exact(value: Any) -> bool:
    """
    Tell whether JSON has all that *value* says, and in how little; in doubt no.

    NaN would be a null, and a small value can hold the same list a billion times.
    """
    if type(value) is dict and EXACT_TYPES.issuperset(map(type, value.values())):
        return True
    containers: list[Any] = [[value]]
    for container in containers:
        for item in container.values() if type(container) is dict else container:
            kind = type(item)
            if kind in EXACT_TYPES:
                continue
            if kind is dict or kind is list:
                containers.append(item)
            elif kind is not float or not math.isfinite(item):
                return False
        if len(containers) > _MAX_CONTAINERS:
            return False
    return True


def remember_place(action: object, record: logging.LogRecord) -> None:
    """Note that *record* is the first one of *action*."""
    if len(_places) < _MOST_ACTIONS:
        _places[action] = (record.pathname, record.lineno)


is_known = _places.__contains__
"""Tell whether an action has a place."""


class Finisher:
    """Finish snapshots, as *cleaner* tells what is plain and what a secret."""

    def __init__(self, cleaner: Cleaner) -> None:
        self.cleaner = cleaner
        self.careful = CarefulLines(cleaner)
        self._good_actions: set[str] = set()

    def finish(self, snapshot: bytes | str) -> str:
        """Return the text of *snapshot* as it may leave the memory; never raises."""
        if isinstance(snapshot, str):
            return snapshot
        created = 0.0
        try:
            event = orjson.loads(snapshot)
            created = event["occurred_at"]
            text = snapshot.decode()
            if self._is_plain(event) and not may_hold_secret(text) and not ("\\" in text and "\\u0000" in text):
                return text
            del event["occurred_at"]
            return self.careful.line(event, _stand_in(event, created))
        except Exception as error:  # noqa: BLE001 - the action was logged and must be a row
            return unreadable(error, created)

    def _is_plain(self, event: dict[str, Any]) -> bool:
        """Tell whether all fields of *event* can stand as they are; in doubt no."""
        for name, value in event.items():
            if type(value) is str and name in PLAIN_FIELDS and 0 < len(value) <= PLAIN_TEXT:
                continue
            if not self.cleaner.is_plain_field(name, value):
                return False
        return event["outcome"] in OUTCOMES and self._is_good_action(event["action"])

    def _is_good_action(self, action: Any) -> bool:
        if action in self._good_actions:
            return True
        is_good = type(action) is str and not action.startswith("audit.") and bool(ACTION.fullmatch(action))
        if is_good and len(self._good_actions) < _MOST_ACTIONS:
            self._good_actions.add(action)
        return is_good


def _stand_in(event: dict[str, Any], created: float) -> logging.LogRecord:
    """Return what is known of the record of *event*: it had no exception, and a level below ERROR."""
    path, line = _places.get(event["action"], ("", 0))
    fields = {"audit": event, "created": created, "levelno": logging.INFO, "pathname": path, "lineno": line}
    return logging.makeLogRecord(fields)


def unreadable(error: Exception, created: float) -> str:
    """Return the snapshot of an event that could not be read, because of *error*."""
    problem = f"event: {type(error).__name__} while it was read"
    diagnostics.warn("unreadable", "An audit event could not be read (%s); it is stored without fields", problem)
    event = {"action": "unknown", "outcome": "unknown", "metadata": {CLEANED: [problem]}}
    return orjson.dumps({"occurred_at": created, **event}).decode()


finish = Finisher(Cleaner(Masker())).finish
"""Finish the snapshot of a formatter that knows the built-in names of secrets alone."""
