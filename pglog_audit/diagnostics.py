"""Warnings about the audit trail itself: on the logger ``pglog_audit``, each kind at most once a minute."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar

logger = logging.getLogger("pglog_audit")

_INTERVAL = 60.0
_last: dict[str, tuple[float, int]] = {}
_waiting: ContextVar[list[tuple[str, str, tuple[object, ...]]] | None] = ContextVar("pglog_audit_waiting", default=None)
_is_muted: ContextVar[bool] = ContextVar("pglog_audit_is_muted", default=False)


def warn(kind: str, message: str, *args: object) -> None:
    """Log *message* unless one of the same *kind* was logged in the last minute; say how many were held back."""
    if _is_muted.get():
        return
    if (waiting := _waiting.get()) is not None:
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


class Later:
    """
    Warn after the block: inside, locks are held.

    A handler of these warnings may be waited for by who waits for such a lock: a ``__del__`` that logs an event while
    the handler has its own.
    """

    def __enter__(self) -> None:
        self._is_outermost = _waiting.get() is None
        if self._is_outermost:
            _waiting.set([])

    def __exit__(self, *_: object) -> None:
        if self._is_outermost:
            waiting = _waiting.get() or []
            _waiting.set(None)
            for kind, message, args in waiting:
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
