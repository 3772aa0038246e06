"""
The writing side of a spool: one segment after the other, each locked as long as we live or until it is replayed.

Lines are appended, which are nowhere else, or recorded, which are in memory too. A segment of recorded lines alone is
not replayed, and goes when all of them are forgotten, unless one is to be kept: then it is like any other.

What fsync(2) failed to make durable is written anew into another file. On the same one the next fsync would succeed,
though the kernel may have dropped the pages: https://wiki.postgresql.org/wiki/Fsync_Errors
"""

import errno
from collections import deque
from collections.abc import Iterator, Sequence
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
        self._recorded: deque[Segment] = deque()
        """Closed segments of which nothing is to be replayed unless we die, the oldest first."""
        self._missing = 0
        """The last recorded line in a segment that was removed from under us."""
        self._held: dict[Path, Segment] = {}
        """Closed segments that are to be replayed."""

    def record(self, chunk: bytes, number: int) -> None:
        """
        Append the recorded line *number*.

        :raises OSError: the disk does not take it.
        :raises SpoolError: the quota has no room, or the directory is not to be used.
        """
        if not self._append_at_once(chunk):
            while not self._append_some((chunk,)):
                pass
        if self._current is not None:
            self._current.last = number

    def _append_at_once(self, chunk: bytes) -> bool:
        """Append a line if that is all there is to do, and tell whether it was."""
        current, size = self._current, len(chunk)
        if current is None or current.is_torn or current.size + size > SEGMENT_BYTES or self._fsync == "always":
            return False
        self._quota.room(size)
        count, _ = current.append((chunk,))
        self._quota.used += count * size
        return count > 0

    def forget(self, number: int) -> None:
        """
        Remove the recorded lines up to *number*, as far as nothing else stands in the same segment.

        :raises OSError: the disk fails; they may come back.
        """
        if number >= self._missing:
            self._missing = 0
        while self._recorded and self._recorded[0].last <= number and not self._recorded[0].is_wanted:
            self._remove(self._recorded.popleft())
        current = self._current
        if current is None or not current.has_lines or not self._is_there(current):
            return
        if current.last <= number and not current.is_wanted:
            size = current.size
            current.empty()
            self._quota.used -= size - current.size

    def keep(self) -> bool:
        """
        Let all recorded lines be replayed, and tell whether they are there: nobody removed them.

        :raises OSError: that is not to be told; they will be replayed if they are there.
        """
        current = [self._current] if self._current is not None and self._current.has_lines else []
        for own in [*self._recorded, *current]:
            own.is_kept = True
        while self._recorded:
            if self._is_there(self._recorded[0]):
                self._hold(self._recorded[0])
            self._recorded.popleft()
        return all(map(self._is_there, current)) and not self._missing

    def append_some(self, chunks: Sequence[bytes]) -> int:
        """
        Append the first of *chunks*, and return how many; none where the next call may do better.

        :raises OSError: the disk takes none.
        :raises SpoolError: the quota has no room, or the directory is not to be used.
        """
        count = self._append_some(chunks)
        if count and self._current is not None:
            self._current.is_kept = True
        return count

    def _append_some(self, chunks: Sequence[bytes]) -> int:
        current = self._writable(len(chunks[0]))
        is_fresh = not current.has_lines
        count, error = current.append(self._fitting(current, chunks))
        self._quota.used += sum(map(len, chunks[:count]))
        if not self._is_there(current):
            count, error = 0, FileNotFoundError(errno.ENOENT, "files are removed as soon as they are made")
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

    def _fitting(self, current: Segment, chunks: Sequence[bytes]) -> Sequence[bytes]:
        """Return the first of *chunks*, as many as the quota, one write and the segment have room for."""
        first = len(chunks[0])
        room = self._quota.room(first)
        count, _ = segment.whole(chunks, min(room, max(first, min(_MAX_WRITE, SEGMENT_BYTES - current.size))))
        return chunks[:count]

    def _is_there(self, own: Segment) -> bool:
        """Tell whether others can find it; let go of it if they cannot."""
        if own.is_in_place():
            return True
        if own is self._current:
            self._current = None
        own.close()
        self._missing = max(self._missing, own.last)
        self._quota.measure()
        diagnostics.warn("spool removed", "%s was removed while it was in use, and its lines with it", own.path)
        return False

    def seal(self) -> None:
        """
        Close the current segment if it is to be replayed, or was left empty.

        :raises OSError: it could not be made durable; it is closed and will be replayed all the same.
        """
        if self._current is not None and (self._current.is_wanted or not self._current.last):
            self._close_current()

    def _close_current(self) -> None:
        current, self._current = self._current, None
        if current is None:
            return
        try:
            if self._fsync != "never" and current.has_lines:
                current = self._durable(current)
        finally:
            self._put_away(current)

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
            anew.is_kept, anew.last = current.is_wanted, current.last
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
        self._put_away(old)
        self._quota.measure()

    def _put_away(self, closed: Segment) -> None:
        """Put a closed segment to its like."""
        if not closed.has_lines:
            self._remove(closed)
        elif closed.is_wanted:
            self._hold(closed)
        else:
            self._recorded.append(closed)

    def _remove(self, closed: Segment) -> None:
        closed.remove()
        self._quota.used -= closed.size

    def _hold(self, closed: Segment) -> None:
        """Keep a closed segment locked until we replay it."""
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
            for closed in self._closed():
                closed.close()
            self._recorded.clear()
            self._held.clear()

    def descriptors(self) -> Iterator[int]:
        """Return the descriptors that are open."""
        current = [self._current] if self._current else []
        return (each.descriptor for each in [*current, *self._closed()])

    def _closed(self) -> list[Segment]:
        return [*self._recorded, *self._held.values()]
