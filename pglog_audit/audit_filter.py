"""The filter for the queue side of other handlers: it takes the event in the thread that logs."""

import logging
from typing import Any

from . import call_sites, captures
from .audit_records import take_event
from .formatter import AuditFormatter


class AuditFilter(logging.Filter):
    """
    Let audit records pass, with their snapshot taken.

    For the queue side of a stock :class:`logging.handlers.QueueHandler`: the handler that writes runs in another
    thread, where the context is gone and the caller's dict may have changed. Takes the options of
    :class:`AuditFormatter`.
    """

    takes_events = True

    def __init__(self, name: str = "", **options: Any) -> None:
        super().__init__(name)
        self.formatter = AuditFormatter(**options)
        """What takes the snapshot."""
        call_sites.expect()

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether *record* is an audit record, and attach its snapshot."""
        if not super().filter(record) or not take_event(record):
            return False
        if captures.sinks:
            captures.capture(record, self.formatter)
            return False
        record.audit_snapshot = self.formatter.format(record)
        return True
