"""
From a log record to its snapshot.

The snapshot is one JSON object with the event's fields, made in the thread that logged: what the caller does to its
dict afterwards changes nothing. The writer puts the head on it (id, writer and number), which makes it the line.
"""

import logging
import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import orjson

from . import call_sites, diagnostics, libraries
from .cleaning import Cleaner, Cleaning, is_plain_json
from .context import current_context
from .errors import ConfigurationError
from .event import CALLER_FIELDS, ID_FIELDS, JSON_FIELDS, OUTCOMES, WRITER_FIELDS
from .masking import Masker, MaskWith
from .references import resolve
from .request_id import RequestIdSource, is_id, sources

MAX_TEXT = 1024
"""Bytes of a text field: a longer value in an indexed column would be refused (54000)."""
MAX_MESSAGE = 8 * 1024
MAX_LINE = 256 * 1024
MAX_PLAIN_LINE = MAX_LINE // 4
"""Characters up to which a line needs no cap: four bytes each at most."""

_ACTION = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
_PASS_ON = orjson.OPT_PASSTHROUGH_SUBCLASS | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
_PLAIN = (dict, call_sites.WatchedEvent)
_CLEANED, _REFUSED = "_cleaned", "_refused"


class AuditFormatter(logging.Formatter):
    """
    Format an audit record as its snapshot.

    :param request_id_from: where a request id comes from if the log call gives none. ``"auto"``: ``record.request_id``,
        ``record.correlation_id``, then the context, then asgi-correlation-id, django-guid, starlette-context and
        structlog's ``contextvars`` (``request_id``, ``correlation_id``), if the application imported them. Or a
        callable, a ContextVar, ``"module:attribute"`` of one of these, or a list of them, tried in order before the
        context. In a list ``"auto"`` stands for the record's two attributes, and has the libraries asked last.
    :param mask: further names whose values are secrets.
    :param unmask: names that are none here.
    :param mask_with: the mask, or a callable of name and value; also as ``"module:attribute"``.
    :param service: the application's name; by default ``OTEL_SERVICE_NAME``.
    :param store_message: False leaves the log call's sentence out.
    :raises ConfigurationError: an option has a value that can never work.

    A ``trace_id`` that neither the log call nor the context gives is that of OpenTelemetry's current span, if the
    application imported ``opentelemetry.trace``.
    """

    def __init__(
        self,
        *,
        request_id_from: RequestIdSource | Sequence[RequestIdSource] = "auto",
        mask: Iterable[str] = (),
        unmask: Iterable[str] = (),
        mask_with: MaskWith = "***",
        service: str | None = None,
        store_message: bool = True,
    ) -> None:
        super().__init__()
        if not isinstance(service, str | None) or not isinstance(store_message, bool):
            raise ConfigurationError(f"service={service!r} must be a text, store_message={store_message!r} a bool")
        if isinstance(mask_with, str) and ":" in mask_with:
            mask_with = resolve("mask_with", mask_with)
        self._cleaner = Cleaner(Masker(mask, unmask, mask_with))
        self._request_id_sources = sources(request_id_from)
        self._defaults = {"outcome": "success"}
        if service := service or os.environ.get("OTEL_SERVICE_NAME"):
            self._defaults["service"] = service
        self._store_message = store_message
        self._known_actions: set[str] = set()

    def format(self, record: logging.LogRecord) -> str:
        """Return the snapshot of *record*; never raises."""
        snapshot = record.__dict__.get("audit_snapshot")
        if snapshot is not None:
            return snapshot  # type: ignore[no-any-return] # set by AuditFilter, in the thread that logged
        try:
            return self._snapshot(record)
        except Exception as error:  # noqa: BLE001 - whatever the caller's objects do, the action was logged and must be a row
            problem = f"event: {type(error).__name__} while it was read"
            diagnostics.warn(
                "unreadable", "An audit event could not be read (%s); it is stored without fields", problem
            )
            event = {"action": "unknown", "outcome": "unknown", "metadata": {_CLEANED: [problem]}}
            return orjson.dumps({"occurred_at": time.time(), **event}).decode()

    def _snapshot(self, record: logging.LogRecord) -> str:
        given = record.audit  # type: ignore[attr-defined] # is_audit_record
        if type(given) in _PLAIN and record.levelno < logging.ERROR and not record.exc_info:
            event = {**self._defaults, **current_context(), **given}
            self._complete(event, given, record)
            snapshot = self._plain(event, record)
            if snapshot is not None:
                return snapshot
        return self._careful(self._event(given, record), record)

    def _plain(self, event: dict[str, Any], record: logging.LogRecord) -> str | None:
        """Return the snapshot of the usual event, text and a small dict, as it is; None if it needs care."""
        try:
            if not (
                CALLER_FIELDS.issuperset(event)
                and "occurred_at" not in event
                and self._cleaner.is_plain(event)
                and event["outcome"] in OUTCOMES
                and self._is_good_action(event.get("action"))
            ):
                return None
            event["occurred_at"] = record.created
            line = orjson.dumps(event, option=_PASS_ON).decode()
        except (orjson.JSONEncodeError, RuntimeError):
            # A lone surrogate, an integer over 64 bits, too deep; or a dict that another thread changes.
            return None
        return line if len(line) <= MAX_PLAIN_LINE and is_plain_json(line) else None

    def _event(self, given: Any, record: logging.LogRecord) -> dict[str, Any]:
        """Return what the event says, from the record, its *given* ``audit`` and the context, unchecked."""
        if not isinstance(given, Mapping):
            given = {"metadata": {"_value": given}}
        event = {**self._defaults, "outcome": _outcome(record), **current_context(), **given}
        self._complete(event, given, record)
        return event

    def _complete(self, event: dict[str, Any], given: Mapping[str, Any], record: logging.LogRecord) -> None:
        """Add to *event* what only the record knows."""
        if not is_id(given.get("request_id")):
            self._find_request_id(event, record)
        if not is_id(event.get("trace_id")):
            _find_trace_id(event)
        if self._store_message and "message" not in event:
            event["message"] = _message(record)

    def _find_request_id(self, event: dict[str, Any], record: logging.LogRecord) -> None:
        for source in self._request_id_sources:
            try:
                found = source(record)
            except Exception as error:  # noqa: BLE001 - the application's code, inside its own request
                diagnostics.warn("request_id", "request_id_from failed with %s", type(error).__name__)
                continue
            if is_id(found):
                event["request_id"] = str(found)
                return
        if "request_id" in event:
            event["request_id"] = None

    def _is_good_action(self, action: Any) -> bool:
        if type(action) is not str:
            return False
        if action in self._known_actions:
            return True
        good = len(action) <= MAX_TEXT and not action.startswith("audit.") and bool(_ACTION.fullmatch(action))
        if good and len(self._known_actions) < 10_000:
            self._known_actions.add(action)
        return good

    def _careful(self, event: dict[str, Any], record: logging.LogRecord) -> str:
        """Clean every field; with less and less room until the line is short enough."""
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
            "action": _action(event.get("action"), cleaning, refused),
        }
        for name in sorted(CALLER_FIELDS & event.keys() - line.keys() - JSON_FIELDS):
            line[name] = _scalar(name, event[name], cleaning, refused)
        line["outcome"] = line["outcome"] or _outcome(record)
        # What may take all the room comes last, so that the fields and the user's columns have theirs.
        if extra := {name: event[name] for name in event.keys() - CALLER_FIELDS - WRITER_FIELDS}:
            line["extra"] = cleaning.field("extra", extra)
        for name in sorted(JSON_FIELDS & event.keys()):
            line[name] = _object(name, event[name], cleaning, refused)
        metadata = {**_exception(record), **(line.get("metadata") or {})}
        if refused:
            metadata = {**metadata, _REFUSED: cleaning.field(_REFUSED, refused)}
        if cleaning.marks:
            marks = sorted(cleaning.marks)[:20]
            metadata = {**metadata, _CLEANED: marks}
            diagnostics.warn("cleaned", "Audit event %s was stored changed: %s", line["action"], "; ".join(marks))
        line["metadata"] = metadata
        return line


def _find_trace_id(event: dict[str, Any]) -> None:
    # An empty one of the call's hides that of the context.
    found = current_context().get("trace_id") if "trace_id" in event else None
    if not is_id(found):
        found = libraries.trace_id()
    if found is not None:
        event["trace_id"] = found


def _outcome(record: logging.LogRecord) -> str:
    failed = record.levelno >= logging.ERROR or _exception(record)
    return "failure" if failed else "success"


def _message(record: logging.LogRecord) -> str:
    with suppress(Exception):
        return record.getMessage()
    # Wrong arguments for the format, or an argument's own __str__; or the message's.
    with suppress(Exception):
        return f"{record.msg!s} (bad format arguments)"
    return f"{type(record.msg).__name__} (unreadable)"


def _exception(record: logging.LogRecord) -> dict[str, str]:
    """Return the exception's type for the metadata: never its text, which may hold a secret."""
    exc_info: Any = record.exc_info
    # logging takes any tuple for one.
    kind = exc_info[0] if isinstance(exc_info, tuple) and exc_info else None
    return {"exception": kind.__name__[:MAX_TEXT]} if isinstance(kind, type) else {}


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
    diagnostics.warn(
        "occurred_at", "occurred_at of an audit event must be an aware datetime; its record's time is stored"
    )
    return record.created


def _action(given: Any, cleaning: Cleaning, refused: dict[str, Any]) -> str:
    """Return the action as it is stored, in words that a later search can find."""
    action = cleaning.short_field("action", given, MAX_TEXT) if issubclass(type(given), str) else ""
    if not action or action.startswith("audit."):
        if action or not issubclass(type(given), str | None):
            refused["action"] = given
        diagnostics.warn(
            "action", "An audit event without an action of its own is stored as 'unknown'; give it 'entity.verb'"
        )
        return "unknown"
    if not _ACTION.fullmatch(action):
        diagnostics.warn("action form", "Action %r of an audit event is not of the form 'entity.verb'", action)
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
