"""The ways from a logger to our handlers: directly, up the hierarchy, and through queues."""

import logging
from dataclasses import dataclass
from logging.handlers import QueueHandler, QueueListener
from typing import Any

from .audit_filter import AuditFilter
from .handlers import AuditHandler
from .logger_tree import all_loggers, way_up
from .options import WriterOptions
from .postgres_handler import PostgresHandler
from .queue_handler import AuditQueueHandler
from .unlocked_handler import UnlockedHandler


@dataclass(frozen=True)
class Route:
    """A handler that a logger's records reach, and where they go from there."""

    owner: logging.Logger
    """The logger that has the handler."""
    handler: logging.Handler
    ends: tuple[UnlockedHandler, ...] = ()
    """Our handlers behind it, or itself."""
    listener: Any = None
    """Behind a queue: what empties it, if that can be known."""

    @property
    def respected(self) -> tuple[logging.Handler, ...]:
        """The handlers behind the queue whose levels count."""
        return self.ends if getattr(self.listener, "respect_handler_level", False) else ()

    def __str__(self) -> str:
        name = f" {self.handler.get_name()}" if self.handler.get_name() else ""
        return f"{type(self.handler).__name__}{name} of logger {self.owner.name}"


def routes(logger: logging.Logger) -> list[Route]:
    """Return the ways from *logger* to handlers of ours."""
    return [route for owner, handler in way_up(logger) if (route := _route(owner, handler))]


def _route(owner: logging.Logger, handler: logging.Handler) -> Route | None:
    listener = getattr(handler, "listener", None)
    if isinstance(handler, UnlockedHandler):
        return Route(owner, handler, (handler,), listener)
    if not isinstance(handler, QueueHandler):
        return None
    behind = listener.handlers if isinstance(listener, QueueListener) else ()
    ends = tuple(each for each in behind if isinstance(each, UnlockedHandler))
    # Where nobody knows the listener, the filter tells what the queue is for.
    if ends or any(isinstance(each, AuditFilter) for each in handler.filters):
        return Route(owner, handler, ends, listener)
    return None


def find_loggers() -> list[logging.Logger]:
    """Return the loggers that have a handler of ours themselves, by name."""
    having = [each for each in all_loggers() if any(_route(each, handler) for handler in each.handlers)]
    return sorted(having, key=lambda logger: logger.name)


def is_off(handler: UnlockedHandler) -> bool:
    """Tell whether *handler* was told to write nothing, by ``enabled`` or by the environment."""
    return isinstance(handler, AuditHandler) and not handler.is_enabled


def options_of(handler: UnlockedHandler) -> WriterOptions | None:
    """Return where *handler* writes to and how; None if it does not lead to a writer."""
    match handler:
        case AuditHandler() | PostgresHandler():
            return handler.options
        case AuditQueueHandler(listener=listener) if listener is not None:
            return listener.options
    return None
