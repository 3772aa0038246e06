"""
Who is acting, and where: fields that every audit event of a block or a request shares.

A request has one set of fields that all its threads and tasks see (a framework may run a dependency, the endpoint and
a background task in different copies of the context); a ``with`` block lays its own over it, for that block alone.
"""

import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import Context, ContextVar, Token, copy_context
from functools import partial, wraps
from types import CoroutineType, MappingProxyType
from typing import Any, NamedTuple, ParamSpec, TypeVar

from . import diagnostics

P = ParamSpec("P")
T = TypeVar("T")
_NOTHING: Mapping[str, Any] = MappingProxyType({})


class _Scope(NamedTuple):
    request: dict[str, Any] | None
    block: Mapping[str, Any]
    late: Callable[[], Mapping[str, Any]] | None = None
    """What gives further fields of the request, each time that an event is logged."""


NO_SCOPE = _Scope(None, _NOTHING)
_scope: ContextVar[_Scope] = ContextVar("pglog_audit", default=NO_SCOPE)
get_scope = _scope.get
"""Return the scope that is open here, NO_SCOPE outside of any."""


def current_context() -> Mapping[str, Any]:
    """Return the fields in force here; the caller must not change them."""
    scope = _scope.get()
    request, block, late = scope
    if late is not None:
        request = {**_ask(late, scope), **(request or _NOTHING)}
    if not request:
        return block
    return {**request, **block} if block else request


def current_field(name: str) -> Any:
    """Return the field *name* in force here, or None, and ask nobody for it."""
    request, block, _ = _scope.get()
    return block[name] if name in block else (request or _NOTHING).get(name)


@contextmanager
def kept_context() -> Iterator[None]:
    """Undo at the end of the block what was bound in it."""
    before = _scope.get()
    try:
        yield
    finally:
        # No token: a fixture may be set up and torn down in two contexts.
        _scope.set(before)


def copy_without_fields() -> Context:
    """Return a copy of the context in which no field is in force: for an event that has them already."""
    copy = copy_context()
    copy.run(_scope.set, NO_SCOPE)
    return copy


def audit_context(**fields: Any) -> "ContextBlock":
    """
    Add *fields* to every audit event logged inside the ``with`` block.

    Blocks nest, each with an ``audit_context(...)`` of its own; what a log call gives itself wins. Takes the names of
    :func:`pglog_audit.audit`. The fields reach tasks and threads that copy the context (:mod:`contextvars`), and no
    others.
    """
    return ContextBlock(fields)


class ContextBlock:
    """A block with fields of its own, made by :func:`pglog_audit.audit_context`; a decorator of functions, too."""

    __slots__ = ("_entered", "_fields", "_is_spent")

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = fields
        self._is_spent = False
        self._entered: tuple[Token[_Scope], _Scope, _Scope] | None = None

    def __enter__(self) -> None:
        if self._is_spent:
            # To know which entry an exit belongs to, where threads share it, would cost every block.
            raise RuntimeError(
                f"this audit_context of {', '.join(self._fields)} has had its block: make one for each, by "
                "audit_context(...) in the with statement, or decorate a function"
            )
        self._is_spent = True
        around = _scope.get()
        inside = around._replace(block={**around.block, **self._fields})
        self._entered = (_scope.set(inside), inside, around)

    def __exit__(self, *_error: object) -> None:
        if self._entered is not None:
            entered, self._entered = self._entered, None
            _leave(*entered)

    def __call__(self, function: Callable[P, T]) -> Callable[P, T]:
        """Decorate *function*: each call is a block of its own."""

        @wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> T:
            with ContextBlock(self._fields):
                return function(*args, **kwargs)

        return run


def bind_audit_context(**fields: Any) -> None:
    """
    Add *fields* to every later audit event of the running request.

    For code that learns who is acting but does not enclose the endpoint: a dependency, an authentication back end.
    It reaches the whole request when one of the middlewares of :mod:`pglog_audit.integrations` opened it; elsewhere the
    rest of the running task or thread. A thread of a pool works for others next, who would get these fields too:
    outside of a request use :func:`audit_context` there; the first call warns.
    """
    scope = _scope.get()
    if scope.request is None:
        if _is_pooled(threading.current_thread()):
            diagnostics.warn(
                "bind",
                "bind_audit_context ran in a thread of a pool, outside of any request: nothing but what this thread "
                "does next has its fields; put AuditMiddleware around the application, or use audit_context",
            )
        # Never change a mapping in place here: tasks that copied this context would share it, and one user's name
        # would stand on another's events.
        _scope.set(scope._replace(block={**scope.block, **fields}))
    else:
        scope.request.update(fields)


def bind_late_context(late: Callable[[], Mapping[str, Any]]) -> None:
    """
    Let *late* give further fields of every later event of the running request; for middlewares.

    It is called by each log call of an event, in the thread that logs, so that what costs something to find out is not
    found out in vain. What :func:`bind_audit_context` gives wins. Where it raises or returns anything but a mapping,
    the event has the rest of its fields, and a warning says so.
    """
    _scope.set(_scope.get()._replace(late=late))


@contextmanager
def request_context(**fields: Any) -> Iterator[None]:
    """Open the scope of one request, which :func:`bind_audit_context` changes; for middlewares."""
    around = _scope.get()
    inside = _request_scope(fields)
    token = _scope.set(inside)
    try:
        yield
    finally:
        _leave(token, inside, around)


class RequestContext:
    """
    The scope of one request that is entered and left several times: its response is made piece by piece.

    In between, the thread runs what is none of the request's: the server, or another request.
    """

    def __init__(self, **fields: Any) -> None:
        self._inside = _request_scope(fields)

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call *function* as a part of the request."""
        with self.entered():
            return function(*args, **kwargs)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Let the block be a part of the request."""
        token = _scope.set(self._inside)
        try:
            yield
        finally:
            # A block that a generator entered in this piece of the response goes on in the next.
            self._inside = _scope.get()
            _scope.reset(token)


def _is_pooled(thread: threading.Thread) -> bool:
    """Tell whether *thread* works for one caller after the other, as anyio's (for Starlette) and an executor's do."""
    if type(thread).__module__.startswith("anyio.") or thread.name.startswith("ThreadPoolExecutor-"):
        return True
    # The name is the application's choice, and this set a private one, which has a thread only after its first task.
    executors = sys.modules.get("concurrent.futures.thread")
    return thread in getattr(executors, "_threads_queues", ())


def _request_scope(fields: Mapping[str, Any]) -> _Scope:
    request, block, late = _scope.get()
    return _Scope({**(request or _NOTHING), **block, **fields}, _NOTHING, late)


def _ask(late: Callable[[], Mapping[str, Any]], scope: _Scope) -> Mapping[str, Any]:
    # What is logged while it looks is not to ask again.
    token = _scope.set(scope._replace(late=None))
    try:
        found = late()
        if isinstance(found, Mapping):
            return dict(found)
        if isinstance(found, CoroutineType):
            found.close()  # a log call cannot await it
        text = "%s returned %s, not a dict, so that nobody acts in its events: return {} where that is meant"
        diagnostics.warn("late", text, _name(late), type(found).__name__)
    except Exception as error:  # noqa: BLE001 - the application's code, inside a log call
        diagnostics.warn("late", "Who is acting could not be found out: %s in %s", type(error).__name__, _name(late))
    finally:
        _scope.reset(token)
    return _NOTHING


def _name(function: Callable[..., Any]) -> str:
    while isinstance(function, partial):
        function = function.func
    return getattr(function, "__qualname__", type(function).__qualname__)


def _leave(token: Token[_Scope], inside: _Scope, around: _Scope) -> None:
    try:
        _scope.reset(token)
    except ValueError:
        # A generator that a framework enters and leaves in two copies of the context: this one may be older than the
        # block, and then there is nothing to take back.
        if _scope.get() is inside:
            _scope.set(around)
