"""
The writing side of a spool: one segment after the other, each locked as long as we live or until it is replayed.

Lines are appended, which are nowhere else, or recorded, which are in memory too. A segment of recorded lines alone is
not replayed, and goes when all of them are forgotten, unless one is to be kept: then it is like any other.

What fsync(2) failed to make durable is written anew into another file. On the same one the next fsync would succeed,
though the kernel may have dropped the pages: https://wiki.postgresql.org/wiki/Fsync_Errors
"""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import chain
from typing import Literal, TypeAlias

from .. import diagnostics
from . import segment
from .closed_segments import ClosedSegments
from .directory import SEGMENT, SpoolDirectory
from .quota import SpoolQuota
from .segment import Header, Segment

Fsync: TypeAlias = Literal["never", "rotate", "always"]

SEGMENT_BYTES = 8 * 1024 * 1024
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
        self.closed = ClosedSegments(quota)
        self.is_busy = False
        """Whether a thread is in here, which a signal handler may have interrupted."""
        self._missing = 0
        """The last recorded line in a segment that was removed from under us."""

    def record(self, chunk: bytes, number: int) -> None:
        """
        Append the recorded line *number*.

        :raises OSError: the disk does not take it.
        :raises SpoolError: the quota has no room, or the directory is not to be used.
        """
        while not self._append_some((chunk,)):
            pass
        if self._current is not None:
            self._current.last = max(self._current.last, number)  # as in record_at_once()

    def record_at_once(self, chunk: bytes, number: int) -> bool:
        """
        Append the recorded line *number* if that is all there is to do, and tell whether it was.

        Each log call comes through here: what other lines share with :meth:`record` is written out.
        """
        current, quota, size = self._current, self._quota, len(chunk)
        if (
            current is None
            or current.is_torn
            or self.is_busy
            or current.size + size > SEGMENT_BYTES
            or quota.used + size > quota.max_bytes
            or self._fsync == "always"
        ):
            return False
        self.is_busy = True
        # First, and torn until all is accounted for: a signal handler may end the call in between.
        current.is_torn = True
        if number > current.last:  # one of a signal handler's may have come between its number and this one's place
            current.last = number
        try:
            if os.write(current.descriptor, chunk) != size:
                current.cut_back()
                return False
            current.size += size
            quota.used += size
            if current.keeps_unsynced:
                current.unsynced.append(chunk)
            current.is_torn = False
        except OSError:
            current.cut_back()
            return False
        finally:
            self.is_busy = False
        return True

    def forget(self, number: int) -> None:
        """
        Remove the recorded lines up to *number*, as far as nothing else stands in the same segment.

        :raises OSError: the disk fails; they may come back.
        """
        self._quota.refresh()
        if number >= self._missing:
            self._missing = 0
        self.closed.forget(number)
        current = self._current
        if current is None or not current.has_lines or not self._is_there(current):
            return
        if current.last <= number and not current.is_wanted:
            size = current.size
            current.empty()
            self._quota.used -= size - current.size
        else:
            current.forget(number)

    def keep(self) -> bool:
        """
        Let all recorded lines be replayed, and tell whether they are there: nobody removed them.

        :raises OSError: that is not to be told; they will be replayed if they are there.
        """
        current = [self._current] if self._current is not None and self._current.has_lines else []
        for own in [*self.closed.recorded, *current]:
            own.is_kept = True
        while self.closed.recorded:
            if self._is_there(self.closed.recorded[0]):
                self.closed.hold(self.closed.recorded[0])
            self.closed.recorded.popleft()
        return all(map(self._is_there, current)) and not self._missing

    def append_some(self, chunks: Sequence[bytes]) -> int:
        """
        Append the first of *chunks*, and return how many; none where the next call may do better.

        :raises OSError: the disk takes none.
        :raises SpoolError: the quota has no room, or the directory is not to be used.
        """
        self._quota.refresh()
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
        self.close_current()
        return 0

    def _writable(self, size: int) -> Segment:
        """Return the segment that takes a line of *size* bytes now."""
        current = self._current
        if current is not None and (current.is_torn or (current.has_lines and current.size + size > SEGMENT_BYTES)):
            self.close_current()
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
        if self._fsync == "always":
            self._enter(created)
        self._quota.used += created.size
        return created

    def _enter(self, created: Segment) -> None:
        """Make the entry of *created* in its directory durable."""
        try:
            self._directory.sync()
        except OSError:
            created.remove()
            raise

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
            self.close_current()

    def close_current(self) -> None:
        """
        Close the current segment.

        If nothing of it is to be replayed, it is made durable a little later: see :meth:`unsynced`. One such is enough.

        :raises OSError: something could not be made durable; the segment is closed all the same.
        """
        current = self._current
        if current is None:
            return
        try:
            if self._fsync != "never" and current.is_wanted and current.has_lines:
                current = self._durable(current)
            self._sync_older()
        finally:
            self._current = None
            self.closed.add(current)

    def _sync_older(self) -> None:
        for full in self.unsynced():
            try:
                self.sync(full)
            except OSError as error:
                self.replace(full, error)

    def unsynced(self) -> list[Segment]:
        """Return the full segments of recorded lines that are not durable yet: whoever logs does not wait for that."""
        return [full for full in self.closed.recorded if full.unsynced]

    def sync(self, closed: Segment) -> None:
        """
        Make *closed* durable; may be called while other threads append.

        :raises OSError: that failed, and is not to be tried again.
        """
        closed.sync()
        if self._fsync == "rotate":
            self._directory.sync()

    def replace(self, full: Segment, error: OSError) -> None:
        """
        Write anew the recorded lines of *full*, for which :meth:`sync` failed with *error*.

        :raises OSError: that failed, too; they stay where they are.
        """
        if full not in self.closed.recorded:
            return  # closed meanwhile
        self.closed.recorded.remove(full)
        try:
            self.closed.add(self._written_anew(full, error))
        except OSError:
            full.unsynced.clear()
            self.closed.recorded.appendleft(full)
            raise

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
            self.sync(current)
        except OSError as error:
            return self._written_anew(current, error)
        return current

    def _written_anew(self, old: Segment, error: OSError) -> Segment:
        diagnostics.warn("spool fsync", "%s could not be made durable: %s", old.path, error.strerror)
        anew = self._write_anew(old.unsynced)
        anew.is_kept, anew.last = old.is_wanted, old.last
        self._drop_unsynced(old)
        return anew

    def _write_anew(self, chunks: list[bytes]) -> Segment:
        anew = self._create()
        try:
            _, error = anew.append(chunks)
            if error is None:
                self.sync(anew)
                return anew
        except OSError as failure:
            error = failure
        anew.remove()
        self._quota.measure()
        raise error

    def _drop_unsynced(self, old: Segment) -> None:
        with suppress(OSError):  # then they come twice
            old.drop_unsynced()
        self.closed.add(old)
        self._quota.measure()

    def close(self) -> None:
        """Close everything; what is on disk stays for whoever comes next."""
        try:
            self.close_current()
        finally:
            self.closed.close()

    def descriptors(self) -> Iterator[int]:
        """Return the descriptors that are open."""
        current = [self._current] if self._current else []
        return (each.descriptor for each in chain(current, self.closed))
