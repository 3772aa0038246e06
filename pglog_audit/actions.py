"""An action that is begun and ended: one event at its end, with what came of it."""

import functools
import inspect
import logging
import sys
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import ExitStack, suppress
from contextvars import Context, ContextVar, Token, copy_context
from types import TracebackType
from typing import Any, Self, TypeAlias, TypeVar, cast

from . import call_sites, diagnostics
from .call_sites import Place
from .changes import IncomparableError, differences
from .libraries import find
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
    :raises TypeError: *logger* is no logger, or not the first argument; or *denied* is none of that.

    The outcome is ``success``, ``denied``, or ``failure`` for any other exception, also where the task is cancelled or
    the program interrupted; ``unknown`` if a generator is closed before its end. The metadata has ``duration_ms`` and,
    of an exception, the type. The exception itself goes on unchanged.
    """
    check_logger(logger, "audit_action", action)
    place = Place.of(sys._getframe(1))
    return AuditAction(logger, level, message, _denial(denied), place, {"action": action, **fields})


class AuditAction:
    """
    An action that is under way: what is set here stands on its event.

    Made by :func:`pglog_audit.audit_action`; a context manager for one block, and a decorator of functions, coroutine
    functions and generators. What a function returns to be awaited belongs to its action.
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
        self._is_handed_on = False
        self._around: Context | None = None
        self._token: Token[AuditAction | None] | None = None
        self._here: Token[None] | None = None

    def set(self, **fields: Any) -> None:
        """
        Set *fields* of the event, by the names of :func:`pglog_audit.audit`, ``message`` included.

        An ``outcome`` that is set stays, whatever happens; ``metadata`` is added to what is there.
        """
        metadata, more = self._fields.get("metadata"), fields.get("metadata")
        if isinstance(metadata, dict) and isinstance(more, dict):
            with suppress(Exception):  # of a class of the caller's: the action must go on
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
            reason = error if isinstance(error, IncomparableError) else type(error).__name__
            diagnostics.warn("change", text, self._fields.get("action"), reason)

    def __enter__(self) -> Self:
        if self._around is not None:
            raise RuntimeError(
                f"this audit_action of {self._fields.get('action')} has had its block: make one for each, by "
                "audit_action(...) in the with statement, or decorate a function"
            )
        self._begun = time.perf_counter()
        self._enter()
        return self

    def _enter(self) -> None:
        self._around = copy_context()
        self._here = _here.set(None)
        self._token = _current.set(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        duration = time.perf_counter() - self._begun
        around = self._leave()
        if self._is_handed_on:
            return
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
        if isinstance(function, staticmethod | classmethod):
            return cast("F", type(function)(self(function.__func__)))
        if inspect.isasyncgenfunction(function):
            name = getattr(function, "__qualname__", repr(function))
            raise TypeError(
                f"audit_action does not decorate {name}, an asynchronous generator: "
                "write 'with audit_action(...):' inside it"
            )
        return cast("F", functools.wraps(function)(self._wrapper(function)))

    def _wrapper(self, function: Callable[..., Any]) -> Callable[..., Any]:
        async def run_coroutine(*args: Any, **kwargs: Any) -> Any:
            with self._anew():
                return await function(*args, **kwargs)

        def run_generator(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            with self._anew() as action:
                action._step_out()
                return (yield from _Steps(action, function(*args, **kwargs)))

        def run(*args: Any, **kwargs: Any) -> Any:
            with self._anew() as action:
                result = function(*args, **kwargs)
                action._is_handed_on = _is_to_be_awaited(result)
            return action._hand_on(result) if action._is_handed_on else result

        if _is_coroutine_function(function):
            return run_coroutine
        return run_generator if inspect.isgeneratorfunction(function) else run

    def _anew(self) -> "AuditAction":
        fields = dict(self._fields)
        return AuditAction(self._logger, self._level, self._message, self._is_denial, self._place, fields)

    def _hand_on(self, result: Any) -> Any:
        """Return *result*, which is to be awaited, so that the action ends when it does."""
        if isinstance(result, find("asyncio", "Future")):
            # It runs already, and who gets it may want to cancel it.
            result.add_done_callback(self._end_with)
            return result
        return self._awaited(result)

    def _end_with(self, future: Any) -> None:
        [cancelled] = find("asyncio", "CancelledError")
        # future.exception() would keep asyncio from telling of one that nobody asks for.
        error = cancelled() if future.cancelled() else future._exception
        self._is_handed_on = False
        self._enter()
        self.__exit__(type(error), error, None)

    async def _awaited(self, result: Awaitable[Any]) -> Any:
        self._is_handed_on = False
        self._enter()
        with ExitStack() as stack:
            stack.push(self)
            return await result

    def _step_out(self) -> None:
        """Be under way, but not here, before what is decorated runs."""
        if self._token is not None:
            _current.reset(self._token)
            self._token = None

    def _leave(self) -> Context | None:
        """Leave the block, and return the context to log in if this is another one than it was entered in."""
        with suppress(ValueError):
            self._step_out()
        with suppress(ValueError):
            if self._here is not None:
                _here.reset(self._here)
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
        fields["metadata"] = {**told, "_value": given}
        with suppress(Exception):  # no mapping, or one that cannot be read: the formatter marks it
            fields["metadata"] = {**told, **given}
        if self._changes:
            with suppress(Exception):
                fields["changes"] = {**self._changes, **fields.get("changes", {})}
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


class _Steps(Generator[Any, Any, Any]):
    """The steps of a generator, which are a part of *action*: between two, whoever asks for the next acts himself."""

    def __init__(self, action: AuditAction, generator: Generator[Any, Any, Any]) -> None:
        self._generator = generator
        self._inside: AuditAction | None = action

    def send(self, value: Any, /) -> Any:
        return self._step(self._generator.send, value)

    def throw(self, *error: Any) -> Any:
        return self._step(self._generator.throw, *error)

    def close(self) -> None:
        self._step(self._generator.close)

    def _step(self, step: Callable[..., Any], *args: Any) -> Any:
        token = _current.set(self._inside)
        try:
            return step(*args)
        finally:
            # A block that the generator entered goes on in the next step.
            self._inside = _current.get()
            _current.reset(token)


def _is_coroutine_function(function: Callable[..., Any]) -> bool:
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
        return True
    # Python 3.11 knows a mark of asyncio's alone, which asgiref gives to Django's asynchronous views.
    return getattr(function, "_is_coroutine", None) in find("asyncio.coroutines", "_is_coroutine")


def _is_to_be_awaited(result: object) -> bool:
    # What can be entered by 'async with' as well, such as a request of aiohttp, must stay what it is.
    return inspect.isawaitable(result) and not hasattr(type(result), "__aenter__")


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
_here: ContextVar[None] = ContextVar("pglog_audit_here", default=None)
"""Says nothing: its tokens tell whether two moments have one context."""
