"""Which log records are audit events, and what to say of those that a handler hears but cannot store."""

import logging
from typing import Any

from . import call_sites, diagnostics
from .logger_tree import way_up

_EXTRAS = (dict, call_sites.WatchedExtra)
_heard_elsewhere: set[str] = set()
"""Loggers whose other records have a handler of their own."""


def is_audit_record(record: logging.LogRecord) -> bool:
    """Tell whether *record* was logged with an ``audit`` extra."""
    # psycopg and its pool log from threads of their own; a filter that adds ``audit`` to every record must not make
    # the writer its own source.
    return "audit" in record.__dict__ and not _is_of_psycopg(record)


def take_event(record: logging.LogRecord) -> bool:
    """Tell whether *record* is an audit record, for a handler that it just reached; warn of one that should be."""
    if is_audit_record(record) or find_misplaced(record):
        call_sites.hear_event_of(record)
        return True
    if not _is_of_psycopg(record) and not call_sites.hear_bare(record) and record.name not in _heard_elsewhere:
        _check_elsewhere(record)
    return False


def _is_of_psycopg(record: logging.LogRecord) -> bool:
    return record.name == "psycopg" or record.name.startswith("psycopg.")


def find_misplaced(record: logging.LogRecord) -> bool:
    """
    Tell whether the event of *record* is among its arguments, and put it where it belongs.

    ``logger.info("Logo replaced", audit(...))`` without ``extra=`` is a mistake that must not cost the row.
    """
    arguments: Any = record.args
    given = [arguments] if isinstance(arguments, dict) else list(arguments or ())
    extras = (one for one in (record.msg, *given) if isinstance(one, dict) and type(one) in _EXTRAS)
    found = next((one for one in extras if one.keys() == {"audit"}), None)
    if found is None:
        return False
    record.msg = "" if record.msg is found else record.msg
    record.args = tuple(one for one in given if one is not found)
    record.audit = found["audit"]
    diagnostics.warn(
        "misplaced",
        "audit(...) is an argument of the message at %s:%d: it is taken for the event all the same, "
        "but write extra=audit(...)",
        record.pathname,
        record.lineno,
    )
    return True


def _check_elsewhere(record: logging.LogRecord) -> None:
    if not all(call_sites.takes_events(handler) for _, handler in way_up(logging.getLogger(record.name))):
        _heard_elsewhere.add(record.name)
    elif record.name == diagnostics.logger.name:
        # What the trail says about itself: logging would print it, if our handler were not the only one.
        if logging.lastResort and record.levelno >= logging.lastResort.level:
            logging.lastResort.handle(record)
    else:
        diagnostics.warn(
            f"bare {record.name}",
            "A record without audit(...) goes nowhere: logger %r has only an audit handler (%s:%d); "
            "add extra=audit('entity.verb'), or a handler for other records",
            record.name,
            record.pathname,
            record.lineno,
        )
