"""
The spool: lines on disk, for as long as the database does not take them.

One writer appends to one segment at a time; a full one is closed and the next one begun. Whole segments are replayed,
our own closed ones and those that dead writers left, and removed when the last of their lines is acknowledged. So each
line comes back at least once, whoever dies at which moment.
"""

import re
import threading
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, get_args

from .. import diagnostics
from ..errors import ConfigurationError, SpoolError
from . import rejects, segment
from .directory import REJECTS, SpoolDirectory
from .quota import SpoolQuota
from .rejects import Rejects
from .replay import SpoolReplay, close_inherited
from .segment_reader import SegmentReader, Taken
from .segment_writer import Fsync, SpoolWriter
from .status import SpoolStatus, read_status


class Spool:
    """
    Keep lines on disk and give them back, oldest segment first.

    One a writer and process. Nothing is touched before the first use. :meth:`take` and what follows on it are for one
    thread at a time, the rest for any. A signal handler that appends or records in the middle of these keeps nothing.

    :param directory: of all targets; ours alone, and made if only its last part is missing.
    :param target: what the lines are for, without password; only spools of an equal target replay them.
    :param writer_id: names the files: a UUID, never used before.
    :param max_bytes: of all segments and rejects of the target, whichever process wrote them.
    :param fsync: ``"never"``; ``"rotate"``, when a segment is full or closed; ``"always"``, before append returns.
    :param lock: the one that whoever uses the writing side has; by default one of its own.
    :raises SpoolError: the system is not POSIX.
    :raises ConfigurationError: *writer_id* is no name of a file, or *fsync* none of these.
    """

    def __init__(
        self,
        directory: str | Path,
        target: str,
        writer_id: str,
        *,
        max_bytes: int = 1024**3,
        fsync: Fsync = "rotate",
        lock: "threading.RLock | None" = None,
    ) -> None:
        if not segment.IS_SUPPORTED:
            raise SpoolError(f"the spool {directory} needs flock(2), which this system has not: leave the option out")
        if fsync not in get_args(Fsync):
            raise ConfigurationError(f"fsync is {fsync!r}: write one of {', '.join(get_args(Fsync))}")
        self.target = target
        self._directory = SpoolDirectory(Path(directory), target, is_durable=fsync != "never")
        self._max_bytes = max_bytes
        self._fsync: Fsync = fsync
        self._begin(writer_id, lock)

    def _begin(self, writer_id: str, lock: "threading.RLock | None" = None) -> None:
        """Set the state of a spool that was not used yet."""
        if not re.fullmatch(r"[A-Za-z0-9-]+", writer_id):
            raise ConfigurationError(f"the writer id {writer_id!r} names files: give a UUID")
        self.lock = lock or diagnostics.lock()
        """Whoever uses the writing side has it."""
        self.problem: str | None = None
        """Why the last line that found no room did not find any."""
        self._quota = SpoolQuota(self._directory, self._max_bytes)
        self._writer = SpoolWriter(self._directory, self._quota, self.target, writer_id, self._fsync)
        self.record_at_once = self._writer.record_at_once
        """Record a chunk, for a caller that has the lock, if it only has to be appended; tell whether it was."""
        self._replay = SpoolReplay(self._directory, self.target, writer_id, self._hand_over, self._remove)
        self._rejects = Rejects(self._directory.path / f"{writer_id}{REJECTS}")

    def prepare(self) -> None:
        """
        Make and check the directory, as the user that is going to write there: to learn early what is wrong.

        :raises SpoolError: it cannot be made, or others could write into it.
        """
        self._directory.prepare()
        self._quota.measure()

    def _attempt(self, work: Callable[..., None], *arguments: Any) -> bool:
        """Tell whether *work* could be done; what the disk does, and a signal handler in the middle, is a problem."""
        try:
            with self.lock:
                if not self._writer.is_busy:
                    return self._do(work, *arguments)
                self.problem = "a signal handler came in the middle of the spool's work"
                return False
        finally:
            diagnostics.tell()

    def _do(self, work: Callable[..., None], *arguments: Any) -> bool:
        writer = self._writer
        writer.is_busy = True
        try:
            work(*arguments)
        except (SpoolError, OSError) as error:
            self._fail(error)
            return False
        finally:
            writer.is_busy = False
        return True

    def _fail(self, error: Exception) -> None:
        what = error.strerror or error if isinstance(error, OSError) else ""
        self.problem = f"the spool {self._directory.path} does not work: {what}" if what else str(error)

    def append(self, lines: Sequence[str]) -> int:
        """
        Append *lines* in order, and return how many are kept for certain: the others found no room.

        What the disk does is told by ``problem``, never raised; a later call tries again.

        :raises ValueError: a text is no line: longer than 16 MiB, of several lines or not to be encoded.
        """
        chunks, kept = [_encode(line) for line in lines], 0

        def append_all() -> None:
            nonlocal kept
            while kept < len(chunks):
                kept += self._writer.append_some(chunks[kept:])
            self.problem = None

        self._attempt(append_all)
        return kept

    def record(self, line: str, number: int) -> bool:
        """
        Append *line* to the journal, and tell whether it is kept: to be replayed, unless it is forgotten before we die.

        :param number: as :meth:`forget` takes it; never less than that of the line before.
        :raises ValueError: it is no line, as for :meth:`append`.
        """
        chunk = _encode(line)
        try:
            with self.lock:
                return self.record_chunk(chunk, number)
        finally:
            diagnostics.tell()

    def record_chunk(self, chunk: bytes, number: int) -> bool:
        """Do the same with a line that is encoded, its end included, for a caller that has the lock."""
        if self.record_at_once(chunk, number) or self._attempt(self._writer.record, chunk, number):
            self.problem = None
            return True
        return False

    def forget(self, number: int) -> None:
        """Drop the recorded lines up to *number*, which are rows, unless others of their segment are needed."""
        self._attempt(self._writer.forget, number)
        self._sync_full()

    def keep(self) -> bool:
        """
        Let what was recorded and not forgotten be replayed, as what was appended is.

        Return whether all of it is there; if somebody removed it, :meth:`append` what is at hand.
        """
        self._sync_full()
        is_all = False

        def keep() -> None:
            nonlocal is_all
            is_all = self._writer.keep()

        return self._attempt(keep) and is_all

    def _sync_full(self) -> None:
        """Make full segments of recorded lines durable, without the lock that a log call may wait for."""
        with self.lock:
            full = self._writer.unsynced()
        for each in full:
            try:
                self._writer.sync(each)
            except OSError as error:
                self._attempt(self._writer.replace, each, error)

    def seal(self) -> None:
        """Close the current segment, so that it can be replayed, unless it has nothing but recorded lines."""
        self._attempt(self._writer.seal)

    def take(self, max_lines: int, max_bytes: int) -> Taken | None:
        """
        Return the next lines of the oldest closed segment: one at least, else at most *max_lines* and *max_bytes*.

        None says that there are no more, for now, or that of the end of a segment not all is acknowledged.
        """
        return self._replay.take(max_lines, max_bytes)

    def read_on(self, max_lines: int, max_bytes: int) -> None:
        """Prepare what :meth:`take` will return, while nothing else is to be done."""
        self._replay.read_on(max_lines, max_bytes)

    def rewind(self) -> None:
        """Take again what was taken and not acknowledged."""
        self._replay.rewind()

    def acknowledge(self, taken: Taken) -> None:
        """
        Note that all of *taken* are rows or rejects; with its last line a segment is removed.

        :raises ValueError: something that was taken before is not acknowledged.
        """
        self._replay.acknowledge(taken)

    def reject(self, line: str | bytes, sqlstate: str | None, reason: str) -> bool:
        """
        Keep *line* for people to look into, and tell whether there was room.

        :param reason: the server's message, never its DETAIL, which may quote other rows.
        """
        rendered = rejects.render(line, sqlstate, reason)

        def append_one() -> None:
            self._directory.prepare()
            self._quota.room(len(rendered))
            self._rejects.append(rendered)
            self._quota.used += len(rendered)

        return self._attempt(append_one)

    def _hand_over(self, path: Path) -> segment.Segment | None:
        with self.lock:
            return self._writer.closed.hand_over(path)

    def _remove(self, reader: SegmentReader) -> None:
        """Remove a segment, after what of it went to the rejects is as durable as it was."""
        with self.lock:
            if self._fsync != "never":
                self._rejects.sync()
            reader.remove()
            self._quota.release(reader.size)
        self._directory.sync()

    def close(self) -> None:
        """Let go of files and locks; what is on disk stays for whoever comes next. A later line opens anew."""
        self._replay.close()
        self._attempt(self._writer.close_current)
        self._sync_full()
        self._attempt(self._writer.close)

    def abandon(self, writer_id: str) -> None:
        """Start anew in a forked child, as *writer_id*: the files are the parent's, and so is the lock's state."""
        close_inherited(chain(self._writer.descriptors(), self._replay.descriptors()))
        self._begin(writer_id)

    @property
    def is_blocked(self) -> bool:
        """Whether something lay there, when it was last looked through, that could not be taken: a warning said why."""
        return self._replay.is_blocked

    @property
    def used(self) -> int:
        """Bytes of segments and rejects, of all writers, by what is known without looking."""
        return self._quota.used

    def status(self, *, count_lines: bool = False) -> SpoolStatus:
        """
        Return what lies in the directory, of all writers.

        :raises SpoolError: it is not to be read.
        """
        return read_status(self._directory.path, count_lines=count_lines)


def _encode(line: str) -> bytes:
    chunk = f"{line}\n".encode()
    if len(chunk) > segment.MAX_LINE or "\n" in line:
        raise ValueError(f"a line of {len(chunk)} bytes is longer than {segment.MAX_LINE}, or several")
    return chunk
