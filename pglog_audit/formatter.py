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
from .careful_lines import outcome_of
from .cleaning import Cleaner
from .context import NO_SCOPE, current_context, current_field, get_scope
from .errors import ConfigurationError
from .finishing import EXACT_TYPES, MAX_PLAIN_LINE, USUAL_NAMES, Finisher, completed, is_exact, unreadable
from .libraries import TRACER
from .masking import Masker, MaskWith, may_hold_secret
from .references import resolve
from .request_id import LONGEST_NO_ID, RequestIdSource, is_id, sources

_dumps = orjson.dumps
_modules = sys.modules
_USUAL = (dict, call_sites.WatchedEvent)
_ERROR = logging.ERROR
_EQUALS, _SLASH, _QUOTE, _BACKSLASH = b"=/'\\"
_BEFORE = len('1234567890.1234567,"')
"""Characters before the sentence in a snapshot, at most."""
_NOT_FLAT = 10_000
"""More dicts than an event has."""


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
        self._good_actions = self._finisher.good_actions
        self._request_id_sources = sources(request_id_from)
        self.service = service or os.environ.get("OTEL_SERVICE_NAME") or None
        self._store_message = store_message
        is_standard = not (mask or unmask) and mask_with == "***" and type(self).format is AuditFormatter.format
        self.snapshot: Callable[[logging.LogRecord], bytes | str] = self._snapshot if is_standard else self.format
        """Take the snapshot of a record: text; or bytes for a queue, whose other side has the time to finish them."""
        self.recordable: Callable[[logging.LogRecord], bytes | str] = self._recordable if is_standard else self.format
        """Do the same for a journal: the bytes have no secret in them."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the snapshot of *record*, finished; never raises."""
        snapshot = record.__dict__.get("audit_snapshot")
        if snapshot is not None:
            return snapshot  # type: ignore[no-any-return] # set by AuditFilter, in the thread that logged
        try:
            given = record.audit  # type: ignore[attr-defined] # is_audit_record
            if type(given) in _USUAL and record.levelno < logging.ERROR and not record.exc_info:
                event, sentence = self.with_context(given, record), self._sentence(record)
                text = self._finisher.plain_text(event, record.created, sentence, self.service)
                if text is not None:
                    return text
            return self._careful(given, record)
        except Exception as error:  # noqa: BLE001 - whatever the caller's objects do, the action was logged and must be a row
            return unreadable(error, time.time())

    def _snapshot(  # noqa: C901 - a call for each step would make a log call dearer by a third
        self, record: logging.LogRecord, has_hint: Callable[..., bool] | None = None
    ) -> bytes | str:
        """Return what the log call says, for the queue; finished if it *has_hint* of a secret. It is what it costs."""
        try:
            given, sentence = record.audit, record.msg  # type: ignore[attr-defined] # is_audit_record
            if (
                type(given) is dict
                and record.levelno < _ERROR
                and not record.exc_info
                and "audit_snapshot" not in record.__dict__
            ):
                request_id = given.get("request_id")
                event: Mapping[str, Any] = given
                if not (
                    type(request_id) is str
                    and len(request_id) > LONGEST_NO_ID
                    and get_scope() is NO_SCOPE
                    and TRACER not in _modules
                ):
                    event = self.with_context(given, record)
                # What is wrong with an action is told with the place that logs it, which the writer does not know.
                if event["action"] not in self._good_actions and not self._finisher.is_good(event["action"]):
                    return self.format(record)
                dicts = 0
                for value in event.values():
                    if type(value) not in EXACT_TYPES:
                        dicts += 1
                        if type(value) is dict:
                            for item in value.values():
                                if type(item) not in EXACT_TYPES:
                                    break
                            else:
                                continue  # flat, as metadata mostly is: looked through in less time than a call takes
                        dicts = _NOT_FLAT
                        if not is_exact(value):
                            return self.format(record)
                if record.args or type(sentence) is not str or not self._store_message:
                    sentence = self._sentence(record)
                said = (record.created, sentence, self.service, event)
                # Without its brackets it is a copy, as long as it is: what the encoder returns keeps a place four times
                # as long from being used again.
                snapshot = _dumps(said)[1:-1]
                if len(snapshot) <= MAX_PLAIN_LINE and (
                    has_hint is None or not has_hint(event, sentence, snapshot, dicts)
                ):
                    return snapshot
        except Exception:  # noqa: BLE001 - whatever the caller's objects do; or JSON has not what they say
            return self.format(record)
        return self.format(record)

    def _recordable(self, record: logging.LogRecord) -> bytes | str:
        return self._snapshot(record, self._has_hint)

    def _has_hint(self, event: Mapping[str, Any], sentence: str | None, snapshot: bytes, dicts: int) -> bool:
        """
        Tell whether a name or a text in *snapshot*, of *event* and *sentence*, has a hint of a secret.

        :param dicts: how many fields of *event* are flat dicts, if all others are neither dicts nor lists.
        """
        metadata = event.get("metadata")
        is_known = USUAL_NAMES.issuperset(event) and (
            dicts == 0 or (dicts == 1 and type(metadata) is dict and self._finisher.cleaner.knows_names(metadata))
        )
        if not is_known and not self._finisher.is_plain(event):
            return True
        said = "" if sentence is None else sentence.lower()
        # Whatever may_hold_secret() looks for has one of these.
        return (
            _EQUALS in snapshot
            or _SLASH in snapshot
            or _QUOTE in snapshot
            or _BACKSLASH in snapshot
            or snapshot.rfind(b" ") > len(said) + _BEFORE
            or "bearer" in said
            or "author" in said
            or not snapshot.isascii()
        ) and may_hold_secret(snapshot.decode())

    def _careful(self, given: Any, record: logging.LogRecord) -> str:
        if not isinstance(given, Mapping):
            given = {"metadata": {"_value": given}}
        event = completed(self.with_context(given, record), outcome_of(record), self._sentence(record), self.service)
        return self._finisher.careful.line(event, record)

    def with_context(self, given: Mapping[str, Any], record: logging.LogRecord) -> Mapping[str, Any]:
        """Return what the log call says, and what only it knows: the context, the request, the trace."""
        context, event = current_context(), given
        if context:
            event = {**context, **given}
            if "message" in context and "message" not in given and record.msg is not None and self._sentence(record):
                del event["message"]  # what the log call gives itself wins
        request_id = given.get("request_id")
        if not (type(request_id) is str and len(request_id) > LONGEST_NO_ID) and not is_id(request_id):
            event = self._with_request_id(event, record)
        if "trace_id" in event or TRACER in sys.modules:
            event = _with_trace_id(event)
        return event

    def _sentence(self, record: logging.LogRecord) -> str | None:
        if not self._store_message:
            return None
        return message_of(record)

    def _with_request_id(self, event: Mapping[str, Any], record: logging.LogRecord) -> Mapping[str, Any]:
        for source in self._request_id_sources:
            try:
                found = source(record)
            except Exception as error:  # noqa: BLE001 - the application's code, inside its own request
                diagnostics.warn("request_id", "request_id_from failed with %s", type(error).__name__)
                continue
            if is_id(found):
                return {**event, "request_id": str(found)}
        return {**event, "request_id": None} if "request_id" in event else event


def _with_trace_id(event: Mapping[str, Any]) -> Mapping[str, Any]:
    if is_id(event.get("trace_id")):
        return event
    # An empty one of the call's hides that of the context.
    found = current_field("trace_id") if "trace_id" in event else None
    if not is_id(found):
        found = libraries.trace_id()
    return event if found is None else {**event, "trace_id": found}


def message_of(record: logging.LogRecord) -> str:
    """Return the sentence of *record*, whatever its arguments are."""
    with suppress(Exception):
        return record.getMessage() if record.args or type(record.msg) is not str else record.msg
    # Wrong arguments for the format, or an argument's own __str__; or the message's.
    with suppress(Exception):
        return f"{record.msg!s} (bad format arguments)"
    return f"{type(record.msg).__name__} (unreadable)"
