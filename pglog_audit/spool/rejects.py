"""The rejects: lines that cannot become rows, kept for people to look into, one JSON object each."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path


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
        """Make durable what was appended."""
        if self._is_synced:
            return
        descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            os.fsync(descriptor)
            self._is_synced = True
        finally:
            os.close(descriptor)


def render(line: str | bytes, sqlstate: str | None, reason: str) -> bytes:
    """
    Return what is kept of *line*.

    Bytes that are no UTF-8 are kept exactly: ``line.encode("utf-8", "surrogateescape")`` gives them back.
    """
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
