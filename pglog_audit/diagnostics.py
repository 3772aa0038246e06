"""Warnings about the audit trail itself: on the logger ``pglog_audit``, each kind at most once a minute."""

import logging
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar

logger = logging.getLogger("pglog_audit")

_INTERVAL = 60.0
_last: dict[str, tuple[float, int]] = {}
_is_muted: ContextVar[bool] = ContextVar("pglog_audit_is_muted", default=False)
_locks: "list[weakref.ref[threading.RLock]]" = []
waiting: deque[tuple[str, str, tuple[object, ...]]] = deque()
"""What is to be told as soon as no lock is held: see :func:`lock`."""


def warn(kind: str, message: str, *args: object) -> None:
    """Log *message* unless one of the same *kind* was logged in the last minute; say how many were held back."""
    if _is_muted.get():
        return
    if _is_locked():
        waiting.append((kind, message, args))
        return
    now = time.monotonic()
    last, held_back = _last.get(kind, (now - _INTERVAL, 0))
    if now - last < _INTERVAL:
        _last[kind] = (last, held_back + 1)
        return
    _last[kind] = (now, 0)
    # dictConfig disables each logger that it does not name, unless told otherwise: a loss would go unnoticed.
    logger.disabled = False
    if held_back:
        message += f" ({held_back} more like this since the last warning)"
    with suppress(Exception):  # a handler of the application's that raises must end neither a log call nor the writer
        logger.warning(message, *args)


def forget(kind: str) -> None:
    """Let the next warning of *kind* be logged at once: what it tells of was over meanwhile."""
    _last.pop(kind, None)


def lock() -> threading.RLock:
    """
    Return a lock; while a thread has it, its warnings wait, until one calls :func:`tell`.

    A handler of these warnings may be waited for by who waits for such a lock: a ``__del__`` that logs an event while
    the handler has its own.
    """
    new = threading.RLock()
    _locks.append(weakref.ref(new, _locks.remove))
    return new


def _is_locked() -> bool:
    return any(one._is_owned() for ref in list(_locks) if (one := ref()))  # type: ignore[attr-defined] # as Condition


def tell() -> None:
    """Log the warnings that wait, whoever's they are, unless this thread has one of the locks still."""
    while waiting and not _is_locked():
        with suppress(IndexError):  # another thread was faster
            kind, message, args = waiting.popleft()
            warn(kind, message, *args)


@contextmanager
def muted() -> Iterator[None]:
    """Neither warn nor count inside: of an event that is read twice, one reader warns."""
    token = _is_muted.set(True)
    try:
        yield
    finally:
        _is_muted.reset(token)


def reset() -> None:
    """Forget what was warned about: a forked child, like a test, starts anew."""
    _last.clear()
    waiting.clear()
