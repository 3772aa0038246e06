"""
From a log record to its snapshot.

The snapshot is one JSON object with the event's fields, made in the thread that logged: what the caller does to its
dict afterwards changes nothing. The writer puts the head on it (id, writer and number), which makes it the line.
"""

import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import orjson

from . import call_sites, diagnostics, libraries
from .careful_lines import MAX_LINE, outcome_of
from .cleaning import Cleaner
from .context import current_context
from .errors import ConfigurationError
from .finishing import EXACT_TYPES, Finisher, is_exact, is_known, remember_place, unreadable
from .libraries import TRACER
from .masking import Masker, MaskWith
from .references import resolve
from .request_id import LONGEST_NO_ID, RequestIdSource, is_id, sources

MAX_PLAIN_LINE = MAX_LINE // 4
"""Bytes up to which a snapshot needs no cap."""

_PASS_ON = orjson.OPT_PASSTHROUGH_SUBCLASS | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
_PLAIN = (dict, call_sites.WatchedEvent)


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
        if not isinstance(service, str | None):
            raise ConfigurationError(f"service is {service!r}: it must be a text")
        if not isinstance(store_message, bool):
            raise ConfigurationError(f"store_message is {store_message!r}: it must be True or False")
        if isinstance(mask_with, str) and ":" in mask_with:
            mask_with = resolve("mask_with", mask_with)
        self._finisher = Finisher(Cleaner(Masker(mask, unmask, mask_with)))
        self._request_id_sources = sources(request_id_from)
        self.service = service or os.environ.get("OTEL_SERVICE_NAME") or None
        self._store_message = store_message
        is_standard = not (mask or unmask) and mask_with == "***" and type(self).format is AuditFormatter.format
        self.snapshot: Callable[[logging.LogRecord], bytes | str] = self._snapshot if is_standard else self.format
        """Take the snapshot of a record: text; or bytes for a queue, whose other side has the time to finish them."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the snapshot of *record*, finished; never raises."""
        snapshot = record.__dict__.get("audit_snapshot")
        if snapshot is not None:
            return snapshot  # type: ignore[no-any-return] # set by AuditFilter, in the thread that logged
        return self._finisher.finish(self._snapshot(record))

    def _snapshot(self, record: logging.LogRecord) -> bytes | str:
        """Return the event as it is in JSON, which is what a log call costs; or text where it needs care at once."""
        try:
            given = record.audit  # type: ignore[attr-defined] # is_audit_record
            if type(given) in _PLAIN and record.levelno < logging.ERROR and not record.exc_info:
                snapshot = self._encoded(given, record)
                if snapshot is not None:
                    return snapshot
            return self._finisher.careful.line(self._event(given, record), record)
        except Exception as error:  # noqa: BLE001 - whatever the caller's objects do, the action was logged and must be a row
            return unreadable(error, time.time())

    def _encoded(self, given: dict[str, Any], record: logging.LogRecord) -> bytes | None:
        """Return the event as it is, in JSON, which is what a log call costs; None if it needs care at once."""
        context = current_context()
        event = {**context, **given} if context else dict.copy(given)
        try:
            for value in event.values():
                if type(value) not in EXACT_TYPES and not is_exact(value):
                    return None
            if not is_known(event["action"]):
                remember_place(event["action"], record)
            if "outcome" not in event:
                event["outcome"] = "success"
            self._complete(event, given, record)
            if "occurred_at" in event:
                return None
            event["occurred_at"] = record.created
            snapshot = orjson.dumps(event, None, _PASS_ON)
        except Exception:  # noqa: BLE001 - whatever the caller's objects do
            # Also a lone surrogate, an integer over 64 bits, too deep; or a dict that another thread changes.
            return None
        return snapshot if len(snapshot) <= MAX_PLAIN_LINE else None

    def _event(self, given: Any, record: logging.LogRecord) -> dict[str, Any]:
        """Return what the event says, from the record, its *given* ``audit`` and the context, unchecked."""
        if not isinstance(given, Mapping):
            given = {"metadata": {"_value": given}}
        event = {"outcome": outcome_of(record), **current_context(), **given}
        self._complete(event, given, record)
        return event

    def _complete(self, event: dict[str, Any], given: Mapping[str, Any], record: logging.LogRecord) -> None:
        """Add to *event* what only the record knows."""
        if self.service is not None:
            event.setdefault("service", self.service)
        request_id = given.get("request_id")
        if not (type(request_id) is str and len(request_id) > LONGEST_NO_ID) and not is_id(request_id):
            self._find_request_id(event, record)
        if "trace_id" in event or TRACER in sys.modules:
            _find_trace_id(event)
        if self._store_message and "message" not in event:
            event["message"] = record.msg if type(record.msg) is str and not record.args else _message(record)

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


def _find_trace_id(event: dict[str, Any]) -> None:
    if is_id(event.get("trace_id")):
        return
    # An empty one of the call's hides that of the context.
    found = current_context().get("trace_id") if "trace_id" in event else None
    if not is_id(found):
        found = libraries.trace_id()
    if found is not None:
        event["trace_id"] = found


def _message(record: logging.LogRecord) -> str:
    with suppress(Exception):
        return record.getMessage()
    # Wrong arguments for the format, or an argument's own __str__; or the message's.
    with suppress(Exception):
        return f"{record.msg!s} (bad format arguments)"
    return f"{type(record.msg).__name__} (unreadable)"
