"""The rejects: lines that cannot become rows, kept for people to look into, one JSON object each."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ..errors import SpoolError
from .directory import REJECTS, files


@dataclass(frozen=True)
class Reject:
    """A line that cannot become a row."""

    time: datetime | None
    """When it was rejected."""
    sqlstate: str | None
    """The server's code; None if it is no event at all."""
    reason: str
    line: str
    """As it was in the spool: ``line.encode("utf-8", "surrogateescape")`` gives also bytes that are no UTF-8."""


class Rejects:
    """Append to the file *path*, which is open no longer than that takes: somebody may move it away meanwhile."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._is_synced = True

    def append(self, rendered: bytes) -> None:
        """
        Append what :func:`render` gave, all or nothing.

        :raises OSError: it has no room.
        """
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_CREAT, 0o600)
        try:
            _write(descriptor, rendered)
            self._is_synced = False
        finally:
            os.close(descriptor)

    def sync(self) -> None:
        """Make durable what was appended, unless somebody has moved it away."""
        if self._is_synced:
            return
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return
        try:
            os.fsync(descriptor)
            self._is_synced = True
        finally:
            os.close(descriptor)


def render(line: str | bytes, sqlstate: str | None, reason: str) -> bytes:
    """Return the line of the file that :func:`read_rejects` makes a :class:`Reject` of."""
    text = line if isinstance(line, str) else line.decode("utf-8", "surrogateescape")
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    # In ASCII, which takes what is no UTF-8, too.
    return json.dumps({"time": now, "sqlstate": sqlstate, "reason": reason, "line": text}).encode() + b"\n"


def _write(descriptor: int, rendered: bytes) -> None:
    size, written = os.fstat(descriptor).st_size, 0
    try:
        while written < len(rendered):
            written += os.write(descriptor, rendered[written:])
    except OSError:
        os.ftruncate(descriptor, size)
        raise


def read_rejects(path: Path) -> Iterator[Reject]:
    """
    Yield the rejects in the directory *path* of a target, of each writer in the order in which they came.

    :raises SpoolError: they are not to be read.
    """
    try:
        for name in sorted(entry.path for entry in files(path) if entry.name.endswith(REJECTS)):
            with open(name, "rb") as file:
                yield from map(_parse, file)
    except OSError as error:
        raise SpoolError(f"the rejects in {path} are not to be read ({error.strerror}): ask as their owner") from None


def _parse(rendered: bytes) -> Reject:
    try:
        fields = json.loads(rendered)
        time = datetime.fromisoformat(fields["time"])
        return Reject(time, fields["sqlstate"], str(fields["reason"]), str(fields["line"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        text = rendered.decode("utf-8", "surrogateescape").removesuffix("\n")
        return Reject(None, None, "damaged among the rejects", text)
