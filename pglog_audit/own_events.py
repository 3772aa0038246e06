"""The events that a writer logs of itself: its start, its clean end, and what it lost."""

import os
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any

from uuid_utils import uuid7

from . import lines
from .account import Account

START, STOP, GAP = f"{lines.OWN}start", f"{lines.OWN}stop", f"{lines.OWN}gap"


class OwnEvents:
    """
    Keep the lines of a writer about itself until they are written.

    :param draw: gives the next number of the writer.
    :param lifecycle: whether there are starts and stops.
    """

    def __init__(
        self, writer_id: str, account: Account, draw: Callable[[], int], *, service: str | None, lifecycle: bool
    ) -> None:
        self._writer_id = writer_id
        self._account = account
        self._draw = draw
        self._lifecycle = lifecycle
        self._stopped_at: int | None = None
        """The number of the last stop."""
        self._waiting: list[str] = []
        if lifecycle:
            metadata = {"host": socket.gethostname(), "pid": os.getpid()}
            self._waiting.append(self._line(0, START, metadata, **({"service": service} if service else {})))

    def waiting(self, *, last_seq: int | None = None, with_losses: bool = True) -> list[str]:
        """
        Return the lines to write: the start, what was lost, and the stop.

        :param with_losses: False leaves what was lost for later: in an outage one row tells of all of it.
        :param last_seq: the last number drawn, if this is the writer's clean end: all its events are rows, explained or
            on disk.
        """
        is_new = last_seq != self._stopped_at
        for reason, lost in self._account.take_untold() if with_losses else ():
            is_new = True
            metadata = {"reason": reason, "ranges": lost.ranges, "count": lost.count}
            self._waiting.append(self._line(self._draw(), GAP, metadata, outcome="failure"))
        if self._lifecycle and last_seq is not None and is_new:
            self._stopped_at = self._draw()
            self._waiting.append(self._line(self._stopped_at, STOP, {"last_seq": self._stopped_at - 1}))
        return list(self._waiting)

    def done(self, written: Sequence[str]) -> None:
        """Forget lines of :meth:`waiting`."""
        self._waiting = [line for line in self._waiting if line not in written]

    def _line(self, seq: int, action: str, metadata: dict[str, Any], **fields: str) -> str:
        event = {"id": str(uuid7()), "writer_id": self._writer_id, "writer_seq": seq, "occurred_at": time.time()}
        return lines.render({**event, "action": action, "outcome": "success", **fields, "metadata": metadata})
