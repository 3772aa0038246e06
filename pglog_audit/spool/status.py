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
    bytes: int
    """Of segments and rejects, as the quota counts them."""
    oldest: datetime | None
    """When the oldest segment was begun."""
    rejects: int
    """Lines that the database took in no form, or that were none."""
    unreadable: tuple[str, ...]
    """For each segment that nobody will replay, why not."""
    lines: int | None
    """Events in the segments, if they were to be counted."""


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
            target=headers[0].target if headers else None,
            segments=len(segments),
            bytes=sum(map(file_size, entries)),
            oldest=min((header.started for header in headers), default=None),
            rejects=sum(map(_count_lines, rejects)),
            unreadable=tuple(unreadable),
            lines=sum(map(_count_lines, segments)) - len(headers) if count_lines else None,
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
    """Return when the segment *path* was begun; None if it does not say."""
    headers, _ = _read_headers([path])
    return headers[0].started if headers else None


def _read_headers(paths: list[Path]) -> tuple[list[Header], list[str]]:
    headers: list[Header] = []
    unreadable: list[str] = []
    for path in paths:
        try:
            header = _read_header(path)
        except SpoolError as error:
            unreadable.append(str(error))
        else:
            headers += [header] if header else []
    return headers, unreadable


def _read_header(path: Path) -> Header | None:
    """Return the header of *path*; None if nothing is there, or not yet."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        return read_header(descriptor, path)[0] if os.fstat(descriptor).st_size else None
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
