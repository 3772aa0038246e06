"""
A segment that is replayed: read in pieces, never as a whole, and removed when all of it is acknowledged.

How far it was acknowledged is not kept on disk. Whoever dies in the middle leaves the whole segment, and what was a row
already makes no second one.
"""

import json
import os
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from ..errors import SpoolError
from .segment import MAX_LINE, lock, read_header

_CHUNK = 256 * 1024
_SHOWN = 64 * 1024
_RECORDED = 5
"""Values that a line of a journal has where its event is not finished."""


@dataclass(frozen=True)
class BadLine:
    """What stands in a segment where an event should be."""

    raw: bytes
    reason: str
    is_torn: bool = False
    """Whether it is the unfinished end of the segment: of a line that nobody was told is kept."""


@dataclass(frozen=True)
class Taken:
    """Lines of one segment, in order; both may be empty, but not both at once."""

    lines: tuple[str, ...]
    bad: tuple[BadLine, ...]
    path: Path
    start: int
    end: int
    writer_id: str = ""
    """Who wrote them."""


class SegmentReader:
    """
    Read a segment that we hold.

    :param descriptor: its file, open and locked.
    :param begin: where its first line begins.
    :param writer_id: who wrote it.
    """

    def __init__(self, path: Path, descriptor: int, begin: int, writer_id: str) -> None:
        self.path = path
        self.writer_id = writer_id
        self.descriptor = descriptor
        self.size = os.fstat(descriptor).st_size
        # Less where its writer could not begin it anew.
        self._position = self._acknowledged = min(begin, self.size)
        self._next: Taken | None = None
        """What was read already, and not taken."""

    def read_on(self, max_lines: int, max_bytes: int) -> None:
        """Prepare what :meth:`take` will return; what fails shows there."""
        if self._next is None:
            with suppress(OSError):
                self._next = self._take(max_lines, max_bytes)

    def take(self, max_lines: int, max_bytes: int) -> Taken | None:
        """Return the next lines, one at least; None at the end."""
        taken, self._next = self._next or self._take(max_lines, max_bytes), None
        return taken

    def _take(self, max_lines: int, max_bytes: int) -> Taken | None:
        block = self._read(max_lines, max_bytes)
        if not block:
            return None
        *whole, rest = block.split(b"\n", max_lines)
        taken = self._sort(whole, max_bytes) if whole else self._take_unended(rest)
        self._position = taken.end
        return replace(taken, writer_id=self.writer_id)

    def _read(self, max_lines: int, max_bytes: int) -> bytes:
        """Return what follows: lines enough, or one without an end."""
        block, count = b"", 0
        while (count < max_lines and len(block) < max_bytes) or (not count and len(block) < MAX_LINE):
            position = self._position + len(block)
            chunk = os.pread(self.descriptor, min(_CHUNK, self.size - position), position)
            if not chunk:
                self.size = position  # it may have been cut by somebody
                break
            block += chunk
            count += chunk.count(b"\n")
        return block

    def _sort(self, whole: list[bytes], max_bytes: int) -> Taken:
        lines: list[str] = []
        bad: list[BadLine] = []
        end = self._position
        for raw in whole:
            if end > self._position and end + len(raw) + 1 - self._position > max_bytes:
                break
            end += len(raw) + 1
            if _is_event(raw):
                lines.append(raw.decode())
            else:
                bad.append(BadLine(raw, "no JSON object"))
        return Taken(tuple(lines), tuple(bad), self.path, self._position, end)

    def _take_unended(self, raw: bytes) -> Taken:
        """Return what has no end: the last line, or more than a line can be."""
        end = self._position + len(raw)
        if end < self.size:
            bad = BadLine(raw[:_SHOWN], f"longer than {MAX_LINE} bytes; the rest is left out")
            return Taken((), (bad,), self.path, self._position, self._find_end(end))
        # Where but the end of the line is missing, it is whole.
        if _is_event(raw):
            return Taken((raw.decode(),), (), self.path, self._position, end)
        torn = BadLine(raw[:_SHOWN], "unfinished last line", is_torn=True)
        return Taken((), (torn,), self.path, self._position, end)

    def _find_end(self, position: int) -> int:
        """Return where the line ends that goes on at *position*."""
        while chunk := os.pread(self.descriptor, _CHUNK, position):
            if (found := chunk.find(b"\n")) >= 0:
                return position + found + 1
            position += len(chunk)
        return position

    def rewind(self) -> None:
        """Go back to the first line that is not acknowledged."""
        self._next = None
        self._position = self._acknowledged

    def acknowledge(self, taken: Taken) -> None:
        """
        Note that all of *taken* is dealt with.

        :raises ValueError: something before it is not.
        """
        if taken.start > self._acknowledged:
            raise ValueError("lines of a segment are acknowledged in the order in which they were taken")
        self._acknowledged = max(self._acknowledged, taken.end)
        self._position = max(self._position, taken.end)

    def is_done(self) -> bool:
        """Tell whether all lines are acknowledged."""
        return self._acknowledged >= self.size

    def remove(self) -> None:
        """Remove the file; the lock is kept until it is closed."""
        with suppress(FileNotFoundError):
            os.unlink(self.path)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self.descriptor)


def adopt(path: Path, target: str) -> SegmentReader | None:
    """
    Hold the segment *path* to replay it; return None if another one holds it, or has replayed it.

    :raises SpoolError: it is none of *target*, or not to be read.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        if lock(descriptor, path):
            return SegmentReader(path, descriptor, *_begin(descriptor, path, target))
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _begin(descriptor: int, path: Path, target: str) -> tuple[int, str]:
    """Return where the first line of a segment of *target* begins, and who wrote it."""
    if not os.fstat(descriptor).st_size:
        return 0, ""  # its writer died before it wrote anything
    header, begin = read_header(descriptor, path)
    if header.target != target:
        raise SpoolError(f"{path} is for {header.target}, and is left as it is: move it to the directory of that one")
    return begin, header.writer


def _is_event(raw: bytes) -> bool:
    try:
        parsed = orjson.loads(raw)
        return isinstance(parsed, dict) or (isinstance(parsed, list) and _is_recorded(parsed))
    except orjson.JSONDecodeError:
        return _is_unusual_event(raw)


def _is_unusual_event(raw: bytes) -> bool:
    """Tell whether it is an event with something in it that orjson refuses, such as a number of 400 digits."""
    try:
        return isinstance(json.loads(raw.decode(), parse_int=str), dict)
    except (ValueError, RecursionError):
        return False


def _is_recorded(parsed: list[Any]) -> bool:
    """Tell whether it is what a log call says, a number before it, as a journal has it."""
    return len(parsed) == _RECORDED and type(parsed[0]) is int and type(parsed[-1]) is dict
