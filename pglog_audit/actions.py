"""An action that is begun and ended: one event at its end, with what came of it."""

import functools
import inspect
import logging
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from contextvars import Context, ContextVar, Token, copy_context
from types import TracebackType
from typing import Any, Self, TypeAlias, TypeVar, cast

from . import call_sites, diagnostics
from .call_sites import Place
from .changes import differences
from .log_calls import Logger, check_logger, log

F = TypeVar("F", bound=Callable[..., Any])
Denied: TypeAlias = type[BaseException] | tuple[type[BaseException], ...] | Callable[[BaseException], object]


def audit_action(
    logger: Logger,
    action: str,
    message: str | None = None,
    *,
    level: int = logging.INFO,
    denied: Denied = (),
    **fields: Any,
) -> "AuditAction":
    """
    Log one event at the end of a ``with`` block, or of each call of a function that this decorates.

    ``with audit_action(logger, "invoice.delete", target_id=invoice.id) as action:``

    :param logger: a logger, an adapter of one, or a name.
    :param action: ``entity.verb``, as in :func:`pglog_audit.audit`, whose other names *fields* takes.
    :param message: the sentence of the row; without one it has none.
    :param level: of the record, whatever the outcome is.
    :param denied: exceptions that mean ``denied`` besides :exc:`PermissionError`; or a callable that tells of one.
    :raises TypeError: *logger* is no logger, or *denied* none of that.

    The outcome is ``success``, ``denied``, or ``failure`` for any other exception, also where the task is cancelled or
    the program interrupted; ``unknown`` if a generator is closed before its end. The metadata has ``duration_ms`` and,
    of an exception, the type. The exception itself goes on unchanged.
    """
    check_logger(logger, "audit_action")
    place = Place.of(sys._getframe(1))
    return AuditAction(logger, level, message, _denial(denied), place, {"action": action, **fields})


class AuditAction:
    """
    An action that is under way: what is set here stands on its event.

    Made by :func:`pglog_audit.audit_action`; a context manager for one block, and a decorator of functions, coroutine
    functions and generators.
    """

    def __init__(
        self,
        logger: Logger,
        level: int,
        message: str | None,
        is_denial: Callable[[BaseException], bool],
        place: Place,
        fields: dict[str, Any],
    ) -> None:
        self._logger = logger
        self._level = level
        self._message = message
        self._is_denial = is_denial
        self._place = place
        self._fields = fields
        self._changes: dict[str, list[Any]] = {}
        self._begun = time.perf_counter()
        self._around: Context | None = None
        self._token: Token[AuditAction | None] | None = None

    def set(self, **fields: Any) -> None:
        """
        Set *fields* of the event, by the names of :func:`pglog_audit.audit`, ``message`` included.

        An ``outcome`` that is set stays, whatever happens; ``metadata`` is added to what is there.
        """
        metadata, more = self._fields.get("metadata"), fields.get("metadata")
        if isinstance(metadata, dict) and isinstance(more, dict):
            fields["metadata"] = {**metadata, **more}
        self._fields.update(fields)

    def change(self, before: Any, after: Any) -> None:
        """
        Add what differs between *before* and *after* to the event's ``changes``.

        Both are mappings or dataclasses, or None for what is not there; or other objects, such as models of pydantic,
        Django or SQLAlchemy, of which the attributes count that both have. Their values are taken now, so give *before*
        as a dict where the same object is changed in place.
        """
        try:
            for name, (old, new) in differences(before, after).items():
                self._changes[name] = [self._changes.get(name, [old])[0], new]
        except Exception as error:  # noqa: BLE001 - whatever the caller's objects do, the action must go on
            text = "audit_action cannot compare what %s had before and after: %s"
            diagnostics.warn("change", text, self._fields.get("action"), type(error).__name__)

    def __enter__(self) -> Self:
        self._around = copy_context()
        self._token = _current.set(self)
        self._begun = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        duration = time.perf_counter() - self._begun
        around = self._leave()
        try:
            if around is None:
                self._log(error, duration)
            else:
                around.run(self._log, error, duration)
        except Exception as problem:  # noqa: BLE001 - logging's own rule: a log call never raises
            text = "The event %s could not be logged: %s"
            diagnostics.warn("action", text, self._fields.get("action"), type(problem).__name__)

    def __call__(self, function: F) -> F:
        """
        Decorate *function*: each call is an action of its own, which :func:`pglog_audit.current_action` returns.

        :raises TypeError: *function* is an asynchronous generator, which cannot be wrapped whole.
        """
        if inspect.isasyncgenfunction(function):
            raise TypeError(
                f"audit_action does not decorate {function.__qualname__}, an asynchronous generator: "
                "write 'with audit_action(...):' inside it"
            )
        return cast("F", functools.wraps(function)(self._wrapper(function)))

    def _wrapper(self, function: Callable[..., Any]) -> Callable[..., Any]:
        async def run_coroutine(*args: Any, **kwargs: Any) -> Any:
            with self._anew():
                return await function(*args, **kwargs)

        def run_generator(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            with self._anew():
                return (yield from function(*args, **kwargs))

        def run(*args: Any, **kwargs: Any) -> Any:
            with self._anew():
                return function(*args, **kwargs)

        if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
            return run_coroutine
        return run_generator if inspect.isgeneratorfunction(function) else run

    def _anew(self) -> "AuditAction":
        fields = dict(self._fields)
        return AuditAction(self._logger, self._level, self._message, self._is_denial, self._place, fields)

    def _leave(self) -> Context | None:
        """Leave the block, and return the context to log in if this is another one than it was entered in."""
        token, self._token = self._token, None
        with suppress(ValueError):
            if token is not None:
                _current.reset(token)
            return None
        # Somebody else closes the generator that the block stands in, or collects it: it is not him who acted.
        return self._around

    def _log(self, error: BaseException | None, duration: float) -> None:
        fields = {name: value for name, value in self._fields.items() if value is not None}
        outcome = fields.setdefault("outcome", self._outcome(error))
        told: dict[str, Any] = {"duration_ms": round(duration * 1000, 3)}
        if error is not None and outcome != "success":
            told["exception"] = type(error).__name__
        given = fields.get("metadata", {})
        fields["metadata"] = {**told, **given} if isinstance(given, Mapping) else {**told, "_value": given}
        changes = fields.get("changes", {})
        if self._changes and isinstance(changes, Mapping):
            fields["changes"] = {**self._changes, **changes}
        sentence = fields.pop("message", self._message)
        said: tuple[object, ...] = (sentence,)
        if sentence is None:
            # For other handlers; the row has action and outcome already.
            fields["message"], said = None, ("%s: %s", fields.get("action"), outcome)
        event = call_sites.watched_at(fields, self._place)
        log(self._logger, self._level, said[0], event, self._place, *said[1:])

    def _outcome(self, error: BaseException | None) -> str:
        if error is None or (isinstance(error, SystemExit) and not error.code):
            return "success"
        if isinstance(error, GeneratorExit):
            return "unknown"  # whoever went through it may have had all that he wanted
        return "denied" if self._is_denied(error) else "failure"

    def _is_denied(self, error: BaseException) -> bool:
        if isinstance(error, BaseExceptionGroup):
            return all(map(self._is_denied, error.exceptions))
        return self._is_denial(error)


def current_action() -> AuditAction:
    """Return the innermost action that is under way here; outside of any, one that is nobody's."""
    return _current.get() or audit_action("audit", "unknown")


def _denial(denied: Denied) -> Callable[[BaseException], bool]:
    classes = denied if isinstance(denied, tuple) else (denied,)
    if all(isinstance(each, type) and issubclass(each, BaseException) for each in classes):
        return lambda error: isinstance(error, (PermissionError, *classes))
    if not callable(denied):
        raise TypeError(f"denied is {denied!r}: it must be exception classes, or a callable that tells of an exception")
    tells: Callable[[BaseException], object] = denied

    def is_denial(error: BaseException) -> bool:
        with suppress(Exception):  # the application's code, while its own exception is on the way
            return isinstance(error, PermissionError) or bool(tells(error))
        return False

    return is_denial


_current: ContextVar[AuditAction | None] = ContextVar("pglog_audit_action", default=None)
