"""
What is left to do with a snapshot after the log call: all that can be told from its text.

A log call encodes its event as it is. The writer, which has the time, looks at names and texts; the usual event stands
as it is, and the others are cleaned as they would have been in the call.
"""

import logging
import math
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import orjson

from . import diagnostics
from .careful_lines import ACTION, CLEANED, MAX_LINE, CarefulLines
from .cleaning import PLAIN_FIELDS, PLAIN_TEXT, Cleaner, may_hold_secret
from .event import OUTCOMES
from .masking import Masker

MAX_PLAIN_LINE = MAX_LINE // 4
"""Bytes up to which a line needs no cap."""
EXACT_TYPES = frozenset({str, int, bool, type(None), UUID})
"""Types whose values the encoder takes without a change, or not at all."""

_MAX_CONTAINERS = 1000
_MOST_ACTIONS = 10_000


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


def completed(event: Mapping[str, Any], outcome: str, sentence: str | None, service: str | None) -> dict[str, Any]:
    """Return *event* with what its record and formatter say of what it leaves open."""
    complete: dict[str, Any] = {"outcome": outcome}
    if sentence is not None:
        complete["message"] = sentence
    if service is not None:
        complete["service"] = service
    complete.update(event)
    return complete


class Finisher:
    """Finish snapshots, as *cleaner* tells what is plain and what a secret."""

    def __init__(self, cleaner: Cleaner) -> None:
        self.cleaner = cleaner
        self.careful = CarefulLines(cleaner)
        self._good_actions: set[str] = set()

    def finish(self, snapshot: bytes | str) -> str:
        """Return the text of *snapshot*, as it may leave the memory; never raises."""
        if isinstance(snapshot, str):
            return snapshot
        created = 0.0
        try:
            event, created, sentence, service, pathname, lineno = orjson.loads(snapshot)
            text = self.plain_text(event, created, sentence, service)
            if text is not None:
                return text
            # It had no exception, and a level below ERROR.
            stand_in = logging.LogRecord("", logging.INFO, pathname, lineno, sentence, None, None)
            stand_in.audit, stand_in.created = event, created
            return self.careful.line(completed(event, "success", sentence, service), stand_in)
        except Exception as error:  # noqa: BLE001 - the action was logged and must be a row
            return unreadable(error, created)

    def plain_text(
        self, event: Mapping[str, Any], created: float, sentence: str | None, service: str | None
    ) -> str | None:
        """Return the snapshot of *event*, as it is, but for what it leaves open; in doubt None."""
        try:
            complete = completed(event, "success", sentence, service)
            for name, value in complete.items():
                if type(value) is str and name in PLAIN_FIELDS and 0 < len(value) <= PLAIN_TEXT:
                    continue
                if not self.cleaner.is_plain_field(name, value):
                    return None
            if complete["outcome"] not in OUTCOMES or not self._is_good_action(complete["action"]):
                return None
            complete["occurred_at"] = created
            text = orjson.dumps(complete).decode()
        except Exception:  # noqa: BLE001 - whatever the caller's objects do
            # Also a lone surrogate, an integer over 64 bits, too deep; or a dict that another thread changes.
            return None
        is_plain = len(text) <= MAX_PLAIN_LINE and not may_hold_secret(text) and not _has_nul(text)
        return text if is_plain else None

    def _is_good_action(self, action: Any) -> bool:
        if action in self._good_actions:
            return True
        is_good = type(action) is str and not action.startswith("audit.") and bool(ACTION.fullmatch(action))
        if is_good and len(self._good_actions) < _MOST_ACTIONS:
            self._good_actions.add(action)
        return is_good


def _has_nul(text: str) -> bool:
    return "\\" in text and "\\u0000" in text


def unreadable(error: Exception, created: float) -> str:
    """Return the snapshot of an event that could not be read, because of *error*."""
    problem = f"event: {type(error).__name__} while it was read"
    diagnostics.warn("unreadable", "An audit event could not be read (%s); it is stored without fields", problem)
    event = {"action": "unknown", "outcome": "unknown", "metadata": {CLEANED: [problem]}}
    return orjson.dumps({"occurred_at": created, **event}).decode()


finish = Finisher(Cleaner(Masker())).finish
"""Finish the snapshot of a formatter that knows the built-in names of secrets alone."""
