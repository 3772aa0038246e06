"""
A segment of the spool: a file of lines under a header that says whose they are.

Whoever holds its lock has it to himself: its writer as long as that lives, then the one who replays it. The lock is
flock(2), which belongs to the open file: the one of lockf(3) vanishes when any descriptor of the file is closed.
"""

import errno
import json
import os
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from ..errors import SpoolError

try:
    import fcntl
except ImportError:  # Windows
    IS_SUPPORTED = False
else:
    IS_SUPPORTED = True

MAX_LINE = 16 * 1024 * 1024
"""Bytes of a line at most, its end included."""

_VERSION = 1
_MAX_HEADER = 64 * 1024


@dataclass(frozen=True)
class Header:
    """The first line of a segment."""

    target: str
    writer: str
    started: datetime

    def render(self) -> bytes:
        """Return the line."""
        started = self.started.isoformat(timespec="microseconds")
        fields = {"pglog_audit": _VERSION, "target": self.target, "writer": self.writer, "started": started}
        return json.dumps(fields).encode() + b"\n"


class Segment:
    """
    Append lines to a segment that we made and hold.

    :param path: its file, and *descriptor* that file, open and locked.
    :param keeps_unsynced: whether to keep in memory what is not durable yet.
    """

    def __init__(self, path: Path, descriptor: int, header: Header, *, keeps_unsynced: bool) -> None:
        self.path = path
        self.descriptor = descriptor
        self.header = header
        self.unsynced: list[bytes] = []
        """Lines since the last sync."""
        self.keeps_unsynced = keeps_unsynced
        self._identity = os.fstat(descriptor)
        self.begin = self._synced = self.size = len(header.render())
        self.is_torn = False
        """Whether it may end in half a line, and must not be appended to."""
        self.is_kept = False
        """Whether a line of it is nowhere else."""
        self.last = 0
        """The number of its last recorded line."""
        self.rest = self.begin
        """Where the lines begin that are to be replayed if any are: those before are forgotten."""
        self._ends: deque[tuple[int, int]] = deque()
        """The numbers of some recorded lines, and where these end."""

    @property
    def has_lines(self) -> bool:
        """Whether there is anything in it."""
        return self.is_torn or self.size > self.begin

    @property
    def is_wanted(self) -> bool:
        """Whether it is to be replayed: also for a line that nobody counts, because a signal handler ended the call."""
        return self.is_torn or self.is_kept

    def forget(self, number: int) -> None:
        """Note that the recorded lines up to *number* need not be replayed, which is seen a call or two later."""
        if self.is_wanted:
            return  # others stand between them
        while self._ends and self._ends[0][0] <= number:
            _, self.rest = self._ends.popleft()
        if self.last > number and (not self._ends or self._ends[-1][0] < self.last):
            self._ends.append((self.last, self.size))

    def append(self, chunks: Sequence[bytes]) -> tuple[int, OSError | None]:
        """Append *chunks*, which are whole lines; return how many are in the file, and why no more."""
        # Until all is accounted for: a signal handler may raise in between.
        self.is_torn = True
        written, error = self._write(b"".join(chunks))
        count, end = whole(chunks, written)
        if error is not None:
            try:
                os.ftruncate(self.descriptor, self.size + end)
            except OSError:
                self._account(chunks[:count], end)
                return count, error
        self._account(chunks[:count], end)
        self.is_torn = False
        return count, error

    def cut_back(self) -> None:
        """Take away what a write has left behind the last whole line."""
        with suppress(OSError):
            os.ftruncate(self.descriptor, self.size)
            self.is_torn = False

    def _write(self, data: bytes) -> tuple[int, OSError | None]:
        """Write *data* by one system call, unless that is cut short: the next one then says why."""
        written = 0
        while written < len(data):
            try:
                written += os.write(self.descriptor, data[written:] if written else data)
            except OSError as error:
                return written, error
        return written, None

    def _account(self, chunks: Sequence[bytes], size: int) -> None:
        self.size += size
        if self.keeps_unsynced:
            self.unsynced += chunks

    def sync(self) -> None:
        """Make the lines durable; after an error never again, because the next fsync(2) would tell of success."""
        os.fsync(self.descriptor)
        self._synced = self.size
        self.unsynced.clear()

    def drop_unsynced(self) -> None:
        """Cut off what is not durable."""
        self._cut(self._synced)
        self.is_torn = False

    def empty(self) -> None:
        """Begin anew, without lines; if that fails there are none that anybody needs."""
        self.is_torn = True
        self._cut(0)
        self.header = replace(self.header, started=datetime.now(UTC))
        header = self.header.render()
        if os.write(self.descriptor, header) == len(header):
            self.size = self._synced = self.rest = len(header)
            self._ends.clear()
            self.is_torn = False

    def _cut(self, size: int) -> None:
        os.ftruncate(self.descriptor, size)
        self.size = self._synced = size
        self.unsynced.clear()

    def is_in_place(self) -> bool:
        """Tell whether the file still is where others will find it."""
        return _leads_to(self.path, self._identity)

    def remove(self) -> None:
        """Remove the file, and let go of it."""
        try:
            with suppress(FileNotFoundError):
                os.unlink(self.path)
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the file, which stays for whoever comes next."""
        os.close(self.descriptor)


def create(path: Path, header: Header, *, keeps_unsynced: bool) -> Segment:
    """
    Make the segment *path* and hold it.

    :raises FileExistsError: there is one of this name, or it was taken for left behind before it was locked.
    :raises OSError: the disk has no room for it.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_CREAT | os.O_EXCL
    descriptor = os.open(path, flags, 0o600)
    try:
        _begin(descriptor, path, header.render())
        return Segment(path, descriptor, header, keeps_unsynced=keeps_unsynced)
    except BaseException:
        os.close(descriptor)
        raise


def _begin(descriptor: int, path: Path, header: bytes) -> None:
    if not lock(descriptor, path):
        raise FileExistsError(errno.EEXIST, "taken by another process", str(path))
    try:
        written = os.write(descriptor, header)
        while written < len(header):
            written += os.write(descriptor, header[written:])
    except OSError:
        with suppress(OSError):
            os.unlink(path)
        raise


def lock(descriptor: int, path: Path) -> bool:
    """Lock an open file, and tell whether it is ours now: nobody else holds it, and it is still at *path*."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    # Who held it before may have removed it between our open and our lock.
    return _leads_to(path, os.fstat(descriptor))


def _leads_to(path: Path, identity: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.lstat(path), identity)
    except (FileNotFoundError, NotADirectoryError):
        return False


def read_header(descriptor: int, path: Path) -> tuple[Header, int]:
    """
    Return the header of an open segment, and its length.

    :raises SpoolError: it has none, or one of another version.
    """
    raw, newline, _ = os.pread(descriptor, _MAX_HEADER, 0).partition(b"\n")
    try:
        fields = json.loads(raw.decode())
        header = Header(fields["target"], fields["writer"], datetime.fromisoformat(fields["started"]).astimezone(UTC))
        version = fields["pglog_audit"]
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        version = None
    if not newline or version is None:
        raise SpoolError(f"{path} does not begin like a segment, and is left as it is: look into it, and move it away")
    if version != _VERSION:
        raise SpoolError(f"{path} is of version {version}, and is left as it is: a newer pglog_audit will replay it")
    return header, len(raw) + 1


def whole(chunks: Sequence[bytes], size: int) -> tuple[int, int]:
    """Return how many of *chunks* lie within *size* bytes, and where the last of these ends."""
    end = 0
    for count, chunk in enumerate(chunks):
        if end + len(chunk) > size:
            return count, end
        end += len(chunk)
    return len(chunks), end
