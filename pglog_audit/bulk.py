"""Many events in one call."""

import logging
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from . import diagnostics
from .call_sites import Place
from .log_calls import Logger, check_logger, log


def audit_many(logger: Logger, message: object, events: Iterable[Any], *, level: int = logging.INFO) -> None:
    """
    Log *message* once for each of *events*, with all that a log call of its own would give it.

    ``audit_many(logger, "Seat released", (audit("seat.release", target_id=seat.id) for seat in seats))``

    :param logger: whose level and filters count, or its name.
    :param events: what :func:`pglog_audit.audit` returns; one that gives ``message=`` has that sentence in its row.
    :raises TypeError: *logger* is no logger, or not the first argument.

    One event in place of a list is logged as one, with a warning. What *events* itself raises while it is gone through
    goes on; what came before is logged.
    """
    check_logger(logger, "audit_many", message)
    place = Place.of(sys._getframe(1))
    if isinstance(events, Mapping | str | bytes) or not isinstance(events, Iterable):
        text = "audit_many takes a list of events: the %s at %s:%d is logged as one"
        kind = "dict" if isinstance(events, Mapping) else type(events).__name__
        diagnostics.warn("many", text, kind, place.code.co_filename, place.line)
        events = [events]
    for each in events:
        log(logger, level, message, each["audit"] if isinstance(each, dict) and "audit" in each else each, place)
