"""What lies in a spool, whether or not anybody writes into it."""

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ..errors import SpoolError
from .directory import REJECTS, SEGMENT, file_size, files
from .segment import Header, read_header

_CHUNK = 1024 * 1024


@dataclass(frozen=True)
class SpoolStatus:
    """The spool of one target."""

    path: Path
    target: str | None
    """None if no segment tells."""
    segments: int
    """Files with lines; a writer that keeps a journal has one without, too."""
    bytes: int
    """Of segments and rejects, as the quota counts them."""
    oldest: datetime | None
    """When the oldest of these was begun."""
    rejects: int
    """Lines that the database took in no form, or that were none."""
    unreadable: tuple[str, ...]
    """For each segment that nobody will replay, why not."""
    lines: int | None
    """Events in the segments that can be read, if they were to be counted."""


def read_status(path: Path, *, count_lines: bool = False) -> SpoolStatus:
    """
    Return what lies in the directory *path* of a target.

    :param count_lines: also read all segments, at some 100 MB a second from a disk.
    :raises SpoolError: *path* is not to be read.
    """
    try:
        entries = list(files(path))
        segments = [Path(entry.path) for entry in entries if entry.name.endswith(SEGMENT)]
        rejects = [Path(entry.path) for entry in entries if entry.name.endswith(REJECTS)]
        headers, unreadable = _read_headers(segments)
        return SpoolStatus(
            path=path,
            target=next((header.target for header in headers.values()), None),
            segments=len(headers) + len(unreadable),
            bytes=sum(map(file_size, entries)),
            oldest=min((header.started for header in headers.values()), default=None),
            rejects=sum(map(_count_lines, rejects)),
            unreadable=tuple(unreadable),
            lines=sum(map(_count_lines, headers)) - len(headers) if count_lines else None,
        )
    except OSError as error:
        raise SpoolError(f"the spool {path} is not to be read ({error.strerror}): ask as its owner") from None


def read_statuses(directory: Path, *, count_lines: bool = False) -> list[SpoolStatus]:
    """
    Return what lies in *directory*, the option of the handler, for each target.

    :raises SpoolError: it is not there, or not to be read.
    """
    try:
        paths = sorted(path for path in directory.iterdir() if path.is_dir() and not path.is_symlink())
    except OSError as error:
        raise SpoolError(
            f"the spool {directory} is not to be read ({error.strerror}): name the directory of the option"
        ) from None
    return [read_status(path, count_lines=count_lines) for path in paths]


def started(path: Path) -> datetime | None:
    """Return when the segment *path* was begun; None if it does not say, or not yet."""
    try:
        header, _ = _read_header(path)
    except SpoolError:
        return None
    return header.started if header else None


def _read_headers(paths: list[Path]) -> tuple[dict[Path, Header], list[str]]:
    """Return the headers of those segments that have lines, and why others are not to be read."""
    headers: dict[Path, Header] = {}
    unreadable: list[str] = []
    for path in paths:
        try:
            header, has_lines = _read_header(path)
        except SpoolError as error:
            unreadable.append(str(error))
        else:
            headers |= {path: header} if header and has_lines else {}
    return headers, unreadable


def _read_header(path: Path) -> tuple[Header | None, bool]:
    """Return the header of *path*, None if it is not there, or not yet; and whether lines follow."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None, False
    try:
        if not os.fstat(descriptor).st_size:
            return None, False
        header, begin = read_header(descriptor, path)
        return header, os.fstat(descriptor).st_size > begin
    finally:
        os.close(descriptor)


def _count_lines(path: Path) -> int:
    count = 0
    try:
        with path.open("rb", buffering=0) as file:
            while chunk := file.read(_CHUNK):
                count += chunk.count(b"\n")
    except FileNotFoundError:
        return 0
    return count
