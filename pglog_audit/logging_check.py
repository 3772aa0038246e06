"""
Whether what a logger is told becomes a row: from the log call to our handler, as logging is configured now.

Nothing is changed here: no connection is made, no thread started, no record logged.
"""

import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from logging.handlers import QueueHandler
from typing import Any, TypeAlias

from . import call_sites, diagnostics
from .audit_filter import AuditFilter
from .errors import ConfigurationError
from .finding import Finding
from .logger_tree import way_up
from .logging_routes import Route, find_loggers, is_off, options_of, routes
from .postgres_handler import PostgresHandler
from .queue_handler import AuditQueueHandler
from .unlocked_handler import UnlockedHandler

AnyLogger: TypeAlias = "logging.Logger | logging.LoggerAdapter[Any] | str"

_NO_ROW = "Audit events are logged at INFO: set the level of {} to INFO."


def check(logger: AnyLogger) -> list[str]:
    """
    Return a sentence for each thing that keeps the audit events of *logger* from becoming rows; none if all is well.

    For a test of the application's start: ``assert check("audit") == []``. Looks at logging's configuration alone: no
    database is asked and no thread started. It cannot see a stock listener that was made by hand, and so not whether it
    runs, unless the queue handler has it as its attribute ``listener``.

    :param logger: a :class:`logging.Logger`, its name, or the :class:`logging.LoggerAdapter` that is logged with.
    :raises ConfigurationError: *logger* is none of these.
    """
    wrong = (finding for finding in inspect(logger) if finding.status == "wrong")
    return [f"{finding.text[0].upper()}{finding.text[1:]}. {finding.advice}" for finding in wrong]


def inspect(logger: AnyLogger, *, is_running: bool = True) -> Iterator[Finding]:
    """
    Give the finding of each check.

    :param is_running: False where the application has configured logging and not yet started what it starts later.
    """
    yield from _check_adapters(logger)
    found = _unwrapped(logger)
    yield from _check_level(found)
    yield from _check_filters(found)
    reached = routes(found)
    yield _check_reach(found, reached)
    for route in reached:
        faults = list(_check_route(route, found, is_running=is_running))
        yield from faults or [_describe(route)]
    yield from _check_duplicates(found, reached)
    yield _check_others(found, reached)
    yield _check_warnings()


def _check_adapters(logger: Any) -> Iterator[Finding]:
    while isinstance(logger, logging.LoggerAdapter):
        if _replaces_extra(logger):
            yield Finding.wrong(
                "adapter",
                f"adapter {type(logger).__name__} of logger {logger.name} replaces extra: audit(...) never arrives",
                "Log with the logger itself, or from Python 3.13 on give the adapter merge_extra=True.",
            )
        logger = logger.logger


def _replaces_extra(adapter: "logging.LoggerAdapter[Any]") -> bool:
    """Ask *adapter* itself: the stock one replaces it, and an application's own may do as it likes."""
    try:
        _, arguments = adapter.process("", {"extra": {"audit": {}}})
    except Exception:  # noqa: BLE001 - it wants more than a plain call gives, which tells nothing
        return False
    extra = arguments.get("extra")
    return not (isinstance(extra, Mapping) and "audit" in extra)


def _unwrapped(logger: Any) -> logging.Logger:
    while isinstance(logger, logging.LoggerAdapter):
        logger = logger.logger
    if isinstance(logger, str):
        logger = logging.getLogger(logger)
    if not isinstance(logger, logging.Logger):
        raise ConfigurationError(
            f"logger is a {type(logger).__name__}: give a logging.Logger, its name, or a logging.LoggerAdapter"
        )
    return logger


def _check_level(logger: logging.Logger) -> Iterator[Finding]:
    """Tell whether records of level INFO get past the logger."""
    if logger.disabled:
        yield Finding.wrong(
            "level",
            f"logger {logger.name} is disabled",
            "dictConfig and fileConfig disable each logger that they do not name: give them "
            '"disable_existing_loggers": False.',
        )
    if logger.manager.disable >= logging.INFO:
        level = logging.getLevelName(logger.manager.disable)
        yield Finding.wrong(
            "level",
            f"the call logging.disable({level}) drops records of level INFO of all loggers",
            "Call logging.disable(logging.NOTSET) where the application starts.",
        )
    decides = _deciding(logger)
    text = f"level {logging.getLevelName(decides.level)} of logger {decides.name} decides for {logger.name}"
    if decides.level > logging.INFO:
        yield Finding.wrong("level", text, _NO_ROW.format(logger.name))
    elif logger.isEnabledFor(logging.INFO):
        yield Finding.ok("level", text)


def _deciding(logger: logging.Logger) -> logging.Logger:
    """Return the logger whose level counts: the first on the way up that has one, whatever propagates."""
    while not logger.level and logger.parent:
        logger = logger.parent
    return logger


def _check_filters(logger: logging.Logger) -> Iterator[Finding]:
    if names := _foreign_filters(logger):
        yield Finding.hidden("filters", f"what {names} on logger {logger.name} lets pass depends on the record")


def _foreign_filters(filterer: logging.Filterer) -> str:
    foreign = (each for each in filterer.filters if not isinstance(each, AuditFilter))
    return ", ".join(getattr(each, "__qualname__", type(each).__qualname__) for each in foreign)


def _check_reach(logger: logging.Logger, reached: list[Route]) -> Finding:
    """Tell whether a handler of ours is reached at all."""
    if reached:
        return Finding.ok("logger", f"{logger.name} leads to {', '.join(map(str, reached))}")
    text = f"logger {logger.name} leads to no handler of pglog_audit"
    last = _last_on_way(logger)
    if last.parent and (beyond := routes(last.parent)):
        text += f": propagate of {last.name} is False, and {beyond[0]} lies beyond"
        return Finding.wrong("logger", text, f"Give {last.name} the handler, or let it propagate.")
    elsewhere = ", ".join(each.name for each in find_loggers())
    known = f"it is on {elsewhere}; log there, or give" if elsewhere else "give"
    return Finding.wrong("logger", text, f"No row is made: {known} {logger.name} the handler pglog_audit.AuditHandler.")


def _last_on_way(logger: logging.Logger) -> logging.Logger:
    while logger.propagate and logger.parent:
        logger = logger.parent
    return logger


def _check_route(route: Route, logger: logging.Logger, *, is_running: bool) -> Iterator[Finding]:
    """Tell what a handler that is reached does not let pass."""
    for handler in {id(each): each for each in (route.handler, *route.respected)}.values():
        if handler.level > logging.INFO:
            level = logging.getLevelName(handler.level)
            yield Finding.wrong("handler", f"handler {route} has level {level}", _NO_ROW.format("the handler"))
    if names := _foreign_filters(route.handler):
        yield Finding.hidden("handler", f"what {names} on {route} lets pass depends on the record")
    if isinstance(route.handler, QueueHandler):
        yield from _check_queue(route, logger, is_running=is_running)
    for end in route.ends:
        yield from _check_end(end, route)


def _check_queue(route: Route, logger: logging.Logger, *, is_running: bool) -> Iterator[Finding]:
    if isinstance(route.handler, AuditQueueHandler):
        if route.listener is None:
            yield Finding.wrong(
                "handler",
                f"handler {route} has no listener",
                "Its events stay in the queue: give it an AuditQueueListener, or use AuditHandler.",
            )
        return
    if not any(isinstance(each, AuditFilter) for each in (*route.handler.filters, *logger.filters)):
        yield Finding.wrong(
            "handler",
            f"handler {route} has no AuditFilter",
            "Behind the queue the context of the log call is gone: put a pglog_audit.AuditFilter into its filters.",
        )
    if route.listener is None:
        advice = "Where it was made by hand, see that a PostgresHandler is behind it and that its start() is called."
        yield Finding.hidden("handler", f"{route} does not tell its listener", advice)
    elif not _runs(route.listener):
        text = f"the listener of {route} does not run"
        advice = "Nobody starts a stock listener: call its start(), and register its stop with atexit."
        yield Finding.wrong("handler", text, advice) if is_running else Finding.hidden("handler", text, advice)


def _runs(listener: Any) -> bool:
    # The thread of a stock listener ends at the first error of a handler, and leaves its queue to fill.
    thread = getattr(listener, "_thread", None)
    return thread is not None and thread.is_alive()


def _check_end(end: UnlockedHandler, route: Route) -> Iterator[Finding]:
    options = options_of(end)
    if is_off(end):
        variable = os.environ.get("PGLOG_AUDIT_DISABLED")
        why = f"PGLOG_AUDIT_DISABLED={variable}" if variable else "enabled=False"
        yield Finding.wrong(
            "handler", f"handler {route} writes nothing: {why}", "Where events shall be stored, leave it out."
        )
    elif options and not options.configured:
        yield Finding.wrong(
            "handler",
            f"handler {route} writes nothing: no database is named",
            "Give conninfo, or set PGLOG_AUDIT_CONNINFO or DATABASE_URL.",
        )


def _describe(route: Route) -> Finding:
    text = f"{route} takes records of level INFO"
    if any(getattr(end, "_closed", False) for end in (route.handler, *route.ends)):
        return Finding.ok("handler", text, "It was closed, as each dictConfig does, and takes records all the same.")
    if isinstance(route.handler, PostgresHandler):
        advice = "Each call waits for the database: AuditHandler writes in the background."
        return Finding.ok("handler", text, advice)
    return Finding.ok("handler", text)


def _check_duplicates(logger: logging.Logger, reached: Iterable[Route]) -> Iterator[Finding]:
    """Tell whether an event reaches the same table twice."""
    targets: dict[Any, Route] = {}
    for route in reached:
        for options in filter(None, map(options_of, route.ends)):
            key = (options.conninfo, options.pool, options.table)
            if not options.configured:
                continue
            if key in targets:
                below = targets[key]
                propagate = f", or set propagate of {below.owner.name} to False"
                yield Finding.wrong(
                    "duplicates",
                    f"each event of logger {logger.name} makes two rows: by {below} and by {route}",
                    f"Remove one of them{propagate if below.owner is not route.owner else ''}.",
                )
            targets.setdefault(key, route)


def _check_others(logger: logging.Logger, reached: Sequence[Route]) -> Finding:
    ours = [route.handler for route in reached]
    others = [Route(owner, handler) for owner, handler in way_up(logger) if handler not in ours]
    if not others:
        return Finding.ok("propagation", f"the events of {logger.name} go nowhere else")
    last = reached[-1].owner if reached else logger
    beyond = [owner for owner, _ in way_up(last) if owner is not last]
    are_beyond = all(other.owner in beyond for other in others)
    advice = f"If they shall not, set propagate of {last.name} to False." if are_beyond else None
    return Finding.ok("propagation", f"the events of {logger.name} also go to {', '.join(map(str, others))}", advice)


def _check_warnings() -> Finding:
    """Tell whether anybody hears of lost events."""
    logger = diagnostics.logger
    handlers = list(way_up(logger))
    heard = [str(Route(owner, handler)) for owner, handler in handlers if _hears_warnings(handler)]
    advice = "Lost events go unnoticed: give it, or root, a handler that people see, at level WARNING or below."
    if not logger.isEnabledFor(logging.WARNING) and not logger.disabled:
        return Finding.wrong("warnings", "the level of logger pglog_audit drops its warnings", advice)
    if heard:
        return Finding.ok("warnings", f"those of logger pglog_audit reach {', '.join(heard)}")
    if _reach_stderr([handler for _, handler in handlers]):
        return Finding.ok("warnings", "those of logger pglog_audit go to stderr")
    return Finding.wrong("warnings", "the warnings of logger pglog_audit reach no handler that shows them", advice)


def _reach_stderr(handlers: list[logging.Handler]) -> bool:
    """Tell whether warnings go to logging's last resort: by logging itself, or by a handler of ours that is alone."""
    if logging.lastResort is None or logging.lastResort.level > logging.WARNING:
        return False
    are_heard = any(handler.level <= logging.WARNING for handler in handlers)
    return not handlers or (are_heard and all(map(call_sites.takes_events, handlers)))


def _hears_warnings(handler: logging.Handler) -> bool:
    if isinstance(handler, UnlockedHandler | logging.NullHandler) or handler.level > logging.WARNING:
        return False
    return not any(isinstance(each, AuditFilter) for each in handler.filters)
