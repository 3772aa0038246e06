"""A line out of whatever was given: each field cleaned, or kept in the metadata, and what was changed told."""

import logging
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

import orjson

from . import diagnostics
from .cleaning import Cleaner, Cleaning
from .column_types import REFUSED
from .event import CALLER_FIELDS, ID_FIELDS, JSON_FIELDS, OUTCOMES, WRITER_FIELDS, near_field
from .request_id import is_id

MAX_TEXT = 1024
"""Bytes of a text field: a longer value in an indexed column would be refused (54000)."""
MAX_MESSAGE = 8 * 1024
MAX_LINE = 256 * 1024

ACTION = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
CLEANED = "_cleaned"
_REASONS = {
    "action": "action is no text, or audit.*, which is ours",
    "occurred_at": "occurred_at is no aware datetime",
    "outcome": f"outcome is none of {', '.join(OUTCOMES)}",
    **{name: f"{name} is set by the writer alone" for name in WRITER_FIELDS},
}
_MOST_NAMES = 10_000


class CarefulLines:
    """Make lines of events that the usual way does not take."""

    def __init__(self, cleaner: Cleaner) -> None:
        self._cleaner = cleaner
        self._known_names: set[str] = set()

    def line(self, event: dict[str, Any], record: logging.LogRecord) -> str:
        """Return the line of *event*: with less and less room for its values until it is short enough."""
        # A control character takes six bytes in JSON, so the third try is short enough for certain.
        for budget in (MAX_LINE // 2, MAX_LINE // 8, MAX_LINE // 64):
            line = orjson.dumps(self._cleaned(event, record, budget))
            if len(line) <= MAX_LINE:
                break
        return line.decode()

    def _cleaned(self, event: dict[str, Any], record: logging.LogRecord, budget: int) -> dict[str, Any]:
        cleaning = self._cleaner.cleaning(budget)
        given = record.audit  # type: ignore[attr-defined] # is_audit_record
        if not isinstance(given, Mapping):
            cleaning.marks.add(f"audit: {type(given).__name__} in place of a dict")
        refused: dict[str, Any] = {name: event[name] for name in WRITER_FIELDS & event.keys()}
        line: dict[str, Any] = {
            "occurred_at": _occurred_at(event, record, refused),
            "action": _action(event.get("action"), record, cleaning, refused),
        }
        for name in sorted(CALLER_FIELDS & event.keys() - line.keys() - JSON_FIELDS):
            line[name] = _scalar(name, event[name], cleaning, refused)
        line["outcome"] = line["outcome"] or outcome_of(record)
        # What may take all the room comes last, so that the fields and the user's columns have theirs.
        if extra := {name: event[name] for name in event.keys() - CALLER_FIELDS - WRITER_FIELDS}:
            self._check_names(extra, record)
            line["extra"] = cleaning.field("extra", extra)
        for name in sorted(JSON_FIELDS & event.keys()):
            line[name] = _object(name, event[name], cleaning, refused)
        line["metadata"] = _metadata(line, record, cleaning, refused)
        return line

    def _check_names(self, extra: Mapping[str, Any], record: logging.LogRecord) -> None:
        """Tell, once each, of names that are nearly those of fields."""
        for name in extra:
            if type(name) is not str or name in self._known_names or len(self._known_names) >= _MOST_NAMES:
                continue
            self._known_names.add(name)
            if near := near_field(name):
                text = "audit(...) has no field %s: is it %s? It goes to a column of that name, or the metadata"
                _warn(f"name {name[:64]}", record, text, name[:64], near)


def outcome_of(record: logging.LogRecord) -> str:
    """Return the outcome that *record* itself tells."""
    return "failure" if record.levelno >= logging.ERROR or _exception(record) else "success"


def _warn(kind: str, record: logging.LogRecord, text: str, *args: object) -> None:
    pathname = record.__dict__.get("pathname")
    if pathname is not None:  # it is, of an event that the writer finishes
        text, args = f"{text} (%s:%s)", (*args, pathname, record.__dict__.get("lineno"))
    diagnostics.warn(kind, text, *args)


def _exception(record: logging.LogRecord) -> dict[str, str]:
    """Return the exception's type for the metadata: never its text, which may hold a secret."""
    exc_info: Any = record.exc_info
    # logging takes any tuple for one.
    kind = exc_info[0] if isinstance(exc_info, tuple) and exc_info else None
    return {"exception": kind.__name__[:MAX_TEXT]} if isinstance(kind, type) else {}


def _metadata(
    line: Mapping[str, Any], record: logging.LogRecord, cleaning: Cleaning, refused: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the metadata of *line*, with what was refused and what was changed; and tell both."""
    metadata = {**_exception(record), **(line.get("metadata") or {})}
    if refused:
        metadata = {**metadata, REFUSED: cleaning.field(REFUSED, refused)}
        reasons = "; ".join(_REASONS.get(name, f"{name} has no value that fits") for name in sorted(refused))
        _warn("refused", record, "Audit event %s keeps in its metadata what is refused: %s", line["action"], reasons)
    if cleaning.marks:
        marks = sorted(cleaning.marks)[:20]
        metadata = {**metadata, CLEANED: marks}
        _warn("cleaned", record, "Audit event %s was stored changed: %s", line["action"], "; ".join(marks))
    return metadata


def _occurred_at(event: Mapping[str, Any], record: logging.LogRecord, refused: dict[str, Any]) -> float:
    given = event.get("occurred_at")
    if given is None:
        return record.created
    with suppress(Exception):  # no date, or a tzinfo of the caller's
        moment = datetime.fromisoformat(given) if isinstance(given, str) else given
        if isinstance(moment, datetime) and moment.utcoffset() is not None:
            return moment.timestamp()
    # A naive time would silently take the time zone of the server's session.
    refused["occurred_at"] = given
    return record.created


def _action(given: Any, record: logging.LogRecord, cleaning: Cleaning, refused: dict[str, Any]) -> str:
    """Return the action as it is stored, in words that a later search can find."""
    action = cleaning.short_field("action", given, MAX_TEXT) if issubclass(type(given), str) else ""
    if not action or action.startswith("audit."):
        if action or not issubclass(type(given), str | None):
            refused["action"] = given
        else:
            _warn("action", record, "An audit event without an action is stored as 'unknown'; give it 'entity.verb'")
        return "unknown"
    if not ACTION.fullmatch(action):
        _warn("action form", record, "Action %r of an audit event is not of the form 'entity.verb'", action)
    return str(action)


def _object(name: str, value: Any, cleaning: Cleaning, refused: dict[str, Any]) -> dict[str, Any] | None:
    cleaned = cleaning.field(name, value)
    if cleaned is None or cleaned == "":
        return None
    if isinstance(cleaned, dict):
        return cleaned
    if name == "metadata":
        return {"_value": cleaned}
    refused[name] = value
    return None


def _scalar(name: str, value: Any, cleaning: Cleaning, refused: dict[str, Any]) -> str | int | None:
    cleaned = cleaning.short_field(name, value, MAX_MESSAGE if name == "message" else MAX_TEXT)
    if cleaned is None or cleaned == "" or (name == "request_id" and not is_id(cleaned)):
        return None
    if type(cleaned) is int and name in ID_FIELDS:
        return cleaned
    if isinstance(cleaned, str | int | float) and (name != "outcome" or cleaned in OUTCOMES):
        return str(cleaned)
    refused[name] = value
    return "unknown" if name == "outcome" else None
