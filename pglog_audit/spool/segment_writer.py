"""
The writing side of a spool: one segment after the other, each locked as long as we live or until it is replayed.

What fsync(2) failed to make durable is written anew into another file. On the same one the next fsync would succeed,
though the kernel may have dropped the pages: https://wiki.postgresql.org/wiki/Fsync_Errors
"""

import errno
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeAlias

from .. import diagnostics
from . import segment
from .directory import SEGMENT, SpoolDirectory
from .quota import SpoolQuota
from .segment import Header, Segment

Fsync: TypeAlias = Literal["never", "rotate", "always"]

SEGMENT_BYTES = 8 * 1024 * 1024
MAX_HELD = 32
"""Closed segments that wait for us with their lock; of more than these any process of the target may replay some."""

_MAX_WRITE = 4 * 1024 * 1024


class SpoolWriter:
    """Append lines to segments named by *writer_id*; not for two threads at once."""

    def __init__(self, directory: SpoolDirectory, quota: SpoolQuota, target: str, writer_id: str, fsync: Fsync) -> None:
        self._directory = directory
        self._quota = quota
        self._target = target
        self._writer_id = writer_id
        self._fsync = fsync
        self._number = 0
        self._current: Segment | None = None
        self._held: dict[Path, Segment] = {}
        self._recorded: dict[Path, Segment] = {}
        """Closed segments of which nothing is to be replayed unless we die."""

    def append_some(self, chunks: list[bytes], number: int | None = None) -> int:
        """
        Append the first of *chunks*, and return how many; none where the next call may do better.

        :param number: of a line that is recorded, and to be replayed only if it is not forgotten.
        :raises OSError: the disk takes none.
        :raises SpoolError: the quota has no room, or the directory is not to be used.
        """
        current = self._writable(len(chunks[0]))
        is_fresh = not current.has_lines
        count, error = current.append(self._fitting(current, chunks))
        self._quota.used += sum(map(len, chunks[:count]))
        if number is None:
            current.is_kept = True
        else:
            current.last_number = number
        if not current.is_in_place():
            count, error = 0, self._after_removal(current)
        elif count and self._fsync == "always":
            self._secure(current)
        if count or error is None:
            return count
        # Another file may take what this one does not: it was removed, or is as long as the process may make one.
        if is_fresh or error.errno not in (errno.EFBIG, errno.ENOENT):
            raise error
        self._close_current()
        return 0

    def _writable(self, size: int) -> Segment:
        """Return the segment that takes a line of *size* bytes now."""
        current = self._current
        if current is not None and (current.is_torn or (current.has_lines and current.size + size > SEGMENT_BYTES)):
            self._close_current()
        if self._current is None:
            self._current = self._create()
        return self._current

    def _create(self) -> Segment:
        self._directory.prepare()
        self._quota.measure()
        created = None
        while created is None:
            self._number += 1
            path = self._directory.path / f"{self._writer_id}.{self._number:06}{SEGMENT}"
            with suppress(FileExistsError):
                header = Header(self._target, self._writer_id, datetime.now(UTC))
                created = segment.create(path, header, keeps_unsynced=self._fsync != "never")
        self._quota.used += created.size
        return self._entered(created)

    def _entered(self, created: Segment) -> Segment:
        """Return *created* with a durable entry in its directory."""
        try:
            self._directory.sync()
        except OSError:
            created.remove()
            raise
        return created

    def _fitting(self, current: Segment, chunks: list[bytes]) -> list[bytes]:
        """Return the first of *chunks*, as many as the quota, one write and the segment have room for."""
        first = len(chunks[0])
        room = self._quota.room(first)
        count, _ = segment.whole(chunks, min(room, max(first, min(_MAX_WRITE, SEGMENT_BYTES - current.size))))
        return chunks[:count]

    def _after_removal(self, current: Segment) -> OSError:
        self._current = None
        current.close()
        diagnostics.warn("spool removed", "%s was removed while it was in use, and its lines with it", current.path)
        return FileNotFoundError(errno.ENOENT, "files are removed as soon as they are made")

    def seal(self) -> None:
        """
        Close the current segment so that it can be replayed, unless it has nothing but recorded lines.

        :raises OSError: it could not be made durable; it is closed and will be replayed all the same.
        """
        if self._current is not None and (self._current.is_kept or not self._current.has_lines):
            self._close_current()

    def forget(self, number: int) -> None:
        """Drop what was recorded up to *number*, as far as nothing else stands in the same segment."""
        for path, closed in list(self._recorded.items()):
            if closed.last_number > number:
                break
            del self._recorded[path]
            self._quota.used -= closed.size
            closed.remove()
        current = self._current
        if current is None or current.is_kept or current.is_torn or current.last_number > number:
            return
        if current.has_lines:
            size = current.size
            current.empty()
            self._quota.used -= size - current.size

    def keep(self) -> None:
        """Let what was recorded and not forgotten be replayed."""
        for path in list(self._recorded):
            closed = self._recorded.pop(path)
            closed.is_kept = True
            self._hold(closed)
        if self._current is not None and self._current.has_lines:
            self._current.is_kept = True

    def _close_current(self) -> None:
        current, self._current = self._current, None
        if current is None:
            return
        try:
            if self._fsync != "never" and current.has_lines:
                current = self._durable(current)
        finally:
            self._hold(current)

    def _secure(self, current: Segment) -> None:
        """Make what was appended durable; if that fails, leave it nowhere: it does not count as kept."""
        try:
            self._current = self._durable(current)
        except OSError:
            self._current = None
            self._drop_unsynced(current)
            raise

    def _durable(self, current: Segment) -> Segment:
        """Return the segment that has the lines durably: *current*, or another one if the disk fails."""
        try:
            current.sync()
        except OSError as error:
            diagnostics.warn("spool fsync", "%s could not be made durable: %s", current.path, error.strerror)
            anew = self._write_anew(current.unsynced)
            anew.is_kept, anew.last_number = current.is_kept, current.last_number
            self._drop_unsynced(current)
            return anew
        return current

    def _write_anew(self, chunks: list[bytes]) -> Segment:
        anew = self._create()
        try:
            _, error = anew.append(chunks)
            if error is None:
                anew.sync()
                return anew
        except OSError as failure:
            error = failure
        anew.remove()
        raise error

    def _drop_unsynced(self, old: Segment) -> None:
        with suppress(OSError):  # then they come twice
            old.drop_unsynced()
        self._hold(old)
        self._quota.measure()

    def _hold(self, closed: Segment) -> None:
        """Keep a closed segment locked until we replay it."""
        if not closed.has_lines:
            self._quota.used -= closed.size
            closed.remove()
            return
        if not closed.is_kept:
            self._recorded[closed.path] = closed
            return
        self._held[closed.path] = closed
        if len(self._held) > MAX_HELD:
            self._held.pop(next(iter(self._held))).close()

    def hand_over(self, path: Path) -> Segment | None:
        """Return the closed segment *path* to who replays it; None if we do not hold it."""
        return self._held.pop(path, None)

    def close(self) -> None:
        """Close everything; what is on disk stays for whoever comes next."""
        try:
            self._close_current()
        finally:
            for closed in [*self._held.values(), *self._recorded.values()]:
                closed.close()
            self._held.clear()
            self._recorded.clear()

    def descriptors(self) -> Iterator[int]:
        """Return the descriptors that are open."""
        current = [self._current] if self._current else []
        return (each.descriptor for each in [*current, *self._held.values(), *self._recorded.values()])
