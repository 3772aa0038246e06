"""What all our handlers have in common: audit records alone, snapshots alone, and none of logging's locks."""

import logging
from typing import Any

from . import call_sites, captures
from .audit_records import take_event
from .errors import ConfigurationError
from .formatter import AuditFormatter


class UnlockedHandler(logging.Handler):
    """
    Emit audit records without the handler's lock.

    Whoever closes handlers takes that lock, under the lock of all logging, and would hold up every caller for as long
    as it waits for a server.
    """

    takes_events = True

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        call_sites.expect()

    def setFormatter(self, fmt: logging.Formatter | None) -> None:  # noqa: N802 - logging's name
        """
        Set the formatter: its text is what the database reads.

        :raises ConfigurationError: *fmt* is no :class:`AuditFormatter`.
        """
        if not isinstance(fmt, AuditFormatter):
            raise ConfigurationError(
                f"{type(self).__name__} makes rows, not text: leave 'formatter' out or give an AuditFormatter"
            )
        super().setFormatter(fmt)

    def close(self) -> None:
        """Close the handler, and watch whether another one hears what comes."""
        call_sites.watch_anew()
        super().close()

    def handle(self, record: logging.LogRecord) -> bool:
        """Emit *record* if it is an audit record and the filters let it pass."""
        if not take_event(record):
            return False
        if self.filters:
            passed: Any = self.filter(record)
            if not passed:
                return False
            if isinstance(passed, logging.LogRecord):  # 3.12: a filter may replace the record
                record = passed
        if captures.sinks:
            captures.capture(record, self.formatter or AuditFormatter())
        else:
            self.emit(record)
        return True
