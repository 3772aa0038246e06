"""
The application's own log in JSON, with the event of a record as it is stored.

An ordinary record is printed by python-json-logger. A record with an ``audit`` extra goes there as a copy: its event is
the snapshot that becomes the row, and what else the caller gave is masked and cleaned by the same rules.
"""

import inspect
import logging
from typing import Any

import orjson
from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

from . import diagnostics, lines
from .audit_records import find_misplaced
from .careful_lines import MAX_LINE, MAX_MESSAGE
from .formatter import AuditFormatter

_EVENT_OPTIONS = inspect.signature(AuditFormatter).parameters.keys()
_RECORD = frozenset(RESERVED_ATTRS)
_NOT_EXTRA = _RECORD | {"audit", "audit_snapshot"}


class AuditJsonFormatter(JsonFormatter):
    """
    Print records as JSON; those with an ``audit`` extra with the event that becomes the row, under the key ``audit``.

    Takes the options of :class:`AuditFormatter`, which should be those of the handler that stores, and of
    :class:`pythonjsonlogger.json.JsonFormatter`. In a dictConfig name it under ``"()"``: to a formatter named under
    ``"class"`` logging passes the format alone, and ``mask`` would have no effect.

    In the line of an event the message, the other extras, the traceback and the stack are masked and cleaned, too:
    values under names of secrets, and what can be told from a text (``token=…``). Any other secret in the text of an
    exception stays: override ``formatException`` where exceptions quote some. Ordinary records are not masked.

    :raises ConfigurationError: an option of :class:`AuditFormatter` has a value that can never work.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        event_options = {name: options.pop(name) for name in _EVENT_OPTIONS & options.keys()}
        # An unknown name stays a TypeError: where that one says 'format', dictConfig calls again with 'fmt'.
        super().__init__(*args, **options)
        self._reader = _Reader(**event_options)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of *record*; never raises for what was logged with an event."""
        if "audit" not in record.__dict__ and not find_misplaced(record):
            return super().format(record)
        copy = self._reader.cleaned(record, self._exception(record))
        copy.audit = self._reader.event(record)
        return super().format(copy)

    def _exception(self, record: logging.LogRecord) -> str | list[str] | None:
        exc_info = record.__dict__.get("exc_info")
        try:
            return self.formatException(exc_info) if exc_info else record.__dict__.get("exc_text")
        except Exception:  # noqa: BLE001 - logging takes any tuple for an exc_info
            return "(unreadable)"


class _Reader(AuditFormatter):
    """Read audit records for their lines."""

    def event(self, record: logging.LogRecord) -> dict[str, Any]:
        """Return the event of *record*."""
        # What is wrong with it is the warning of the handler that stores it: two would count one fault twice.
        with diagnostics.muted():
            return lines.parse(self.format(record))

    def cleaned(self, record: logging.LogRecord, exception: str | list[str] | None) -> logging.LogRecord:
        """Return a copy of *record* and its printed *exception*, without secrets."""
        given = record.__dict__
        cleaning = self._finisher.cleaner.cleaning(MAX_LINE)
        # The extras come last: they may take all the room.
        texts = {
            "msg": cleaning.short_field("message", _message(record), MAX_MESSAGE),
            "exc_text": cleaning.field("exc_text", exception),
            "stack_info": cleaning.field("stack_info", given.get("stack_info")),
        }
        extra = cleaning.field("extra", {name: value for name, value in given.items() if name not in _NOT_EXTRA})
        # Not of the record's own class, whose getMessage() may want arguments.
        copy = logging.LogRecord("", logging.NOTSET, "", 0, None, None, None)
        copy.__dict__.update({name: given[name] for name in given.keys() & _RECORD})
        copy.__dict__.update(lines.parse(orjson.dumps({**extra, **texts}).decode()), args=None, exc_info=None)
        return copy


def _message(record: logging.LogRecord) -> Any:
    """Return the message of *record*: a dict, whose items python-json-logger prints as fields, or a sentence."""
    message = record.__dict__.get("msg")
    if issubclass(type(message), dict):
        return message
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - arguments that do not fit, or an object of the caller's
        return message
