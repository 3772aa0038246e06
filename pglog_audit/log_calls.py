"""Log calls made for somebody else: the record has that one's place, and the event is watched there."""

import logging
from collections.abc import Mapping
from typing import Any, TypeAlias

from . import call_sites
from .call_sites import Place

Logger: TypeAlias = logging.Logger | logging.LoggerAdapter[Any] | str
"""A logger, an adapter of one, or a name."""


def check_logger(logger: object, caller: str, following: object = None) -> None:
    """
    Check that *logger* is one of logging's, and that it is not the argument *following* it which is meant.

    :raises TypeError: it is not, though *caller* got it.
    """
    if not isinstance(logger, logging.Logger | logging.LoggerAdapter | str):
        raise TypeError(f"{caller} takes a logging.Logger, an adapter of one or a name, not a {type(logger).__name__}")
    if isinstance(following, logging.Logger | logging.LoggerAdapter):
        raise TypeError(f"{caller} takes the logger before {logger!r}: swap the two")


def check_extra(extra: object, caller: str) -> None:
    """
    Check that *extra* is what :func:`pglog_audit.audit` returns, whatever else it may hold.

    :raises TypeError: it is not, though *caller* got it.
    """
    if not (isinstance(extra, Mapping) and isinstance(extra.get("audit"), Mapping)):
        given = "a dict without it" if isinstance(extra, Mapping) else f"a {type(extra).__name__}"
        call_sites.hear(extra)  # audit(...)["audit"]: one mistake, told once
        raise TypeError(f"{caller} takes what audit() returns: pass audit('entity.verb', ...), not {given}")


def log(logger: Logger, level: int, message: object, event: Any, place: Place, *args: object) -> None:
    """Log *message* with *event* at *place*, if the logger's level lets it pass."""
    prepared = record(logger, level, message, {"audit": event}, place, *args)
    if prepared:
        prepared[0].handle(prepared[1])


def record(
    logger: Logger, level: int, message: object, extra: Mapping[str, Any], place: Place, *args: object
) -> tuple[logging.Logger, logging.LogRecord] | None:
    """Return what *logger* logs with, and the record that it would make; None if its level is above *level*."""
    call_sites.note_logged(extra["audit"])
    message, more, proper = _unwrapped(logger, message)
    if not proper.isEnabledFor(level):
        return None
    return proper, make_record(proper, level, message, {**more, **extra}, place, *args)


def make_record(
    logger: logging.Logger, level: int, message: object, extra: Mapping[str, Any], place: Place, *args: object
) -> logging.LogRecord:
    """Return the record that *logger* makes of a log call at *place*."""
    code, _, line = place
    return logger.makeRecord(logger.name, level, code.co_filename, line, message, args, None, code.co_name, extra, None)


def _unwrapped(logger: Logger, message: Any) -> tuple[Any, dict[str, Any], logging.Logger]:
    """Return message and extra as adapters give them on: an adapter by itself would put its extra in place of ours."""
    extra: dict[str, Any] = {}
    while isinstance(logger, logging.LoggerAdapter):
        message, options = logger.process(message, {})
        given = options.get("extra")
        extra = {**(given if isinstance(given, Mapping) else {}), **extra}
        logger = logger.logger
    return message, extra, logging.getLogger(logger) if isinstance(logger, str) else logger
