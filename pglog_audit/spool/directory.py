"""
The directory that the segments and rejects of one target lie in.

It is ours alone: who may write into it, could make us store lines that nobody logged. The one above it, which the
option names, may be shared as /tmp is: it belongs to us or to root, and nobody else may put another one in our place.
"""

import hashlib
import os
import re
import shlex
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ..errors import SpoolError

SEGMENT = ".spool"
REJECTS = ".rejects"

_MOUNTS = Path("/proc/self/mountinfo")
# flock(2) there holds among the processes of one machine at most, or not at all.
_SHARED = tuple("nfs cifs smb fuse 9p afs ceph virtiofs vboxsf lustre gfs gpfs ocfs beegfs".split())


class SpoolDirectory:
    """
    Make the directory of a target, and know what lies in it.

    :param parent: the directory of all targets; made if need be, but nothing above it.
    :param target: the database and table that lines are for.
    :param is_durable: whether :meth:`sync` is to do anything.
    """

    def __init__(self, parent: Path, target: str, *, is_durable: bool) -> None:
        self.parent = parent.absolute()  # where we are may change before the first use
        self.path = self.parent / directory_name(target)
        self._is_durable = is_durable

    def prepare(self) -> None:
        """
        Make the directories that are missing and check all.

        :raises SpoolError: one cannot be made, or is not ours alone.
        """
        for path, check in ((self.parent, _check_parent), (self.path, _check_own)):
            _make(path)
            check(path)

    def names(self) -> list[str]:
        """
        Return the names of the segments.

        :raises SpoolError: others could have put them there.
        """
        try:
            _check_parent(self.parent)
            _check_own(self.path)
        except FileNotFoundError:
            return []
        return [entry.name for entry in files(self.path) if entry.name.endswith(SEGMENT)]

    def usage(self) -> int:
        """Return the bytes of all segments and rejects, whoever wrote them."""
        return sum(map(file_size, files(self.path)))

    def sync(self) -> None:
        """Make durable which files there are."""
        if not self._is_durable:
            return
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def is_shared(self) -> bool:
        """Tell whether other machines may use it too, or its locks hold nobody off."""
        try:
            mounts = _MOUNTS.read_text("utf-8", "surrogateescape")
        except OSError:
            return False  # no Linux
        return file_system(os.path.realpath(self.path), mounts).startswith(_SHARED)


def directory_name(target: str) -> str:
    """Return a name that people recognise *target* by and that no other target has."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", target)[:40].strip("-")
    return f"{readable or 'target'}-{hashlib.sha256(target.encode()).hexdigest()[:12]}"


def files(path: Path) -> Iterator["os.DirEntry[str]"]:
    """Return the segments and rejects in the directory *path*; none if it is not there."""
    with suppress(FileNotFoundError), os.scandir(path) as entries:
        for entry in entries:
            if entry.name.endswith((SEGMENT, REJECTS)) and entry.is_file(follow_symlinks=False):
                yield entry


def file_size(entry: "os.DirEntry[str]") -> int:
    """Return the bytes of a file; none if it was removed meanwhile."""
    try:
        return entry.stat(follow_symlinks=False).st_size
    except FileNotFoundError:
        return 0


def file_system(path: str, mounts: str) -> str:
    """Return the type of the file system under the real *path*, by what proc(5) says in ``mountinfo``."""
    point, kind = "", ""
    for mount in mounts.splitlines():
        place, _, rest = mount.partition(" - ")
        here = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), place.split(" ")[4])
        # Of several mounts on one point the last is seen.
        if f"{path}/".startswith(f"{here.rstrip('/')}/") and len(here) >= len(point):
            point, kind = here, rest.partition(" ")[0]
    return kind


def _make(path: Path) -> None:
    try:
        path.mkdir(0o700)
    except FileExistsError:
        return
    except OSError as error:
        advice = _advice(error, path.parent)
        raise SpoolError(f"the spool {path} cannot be made ({error.strerror}): {advice}") from None


def _advice(error: OSError, parent: Path) -> str:
    """Return what to do where nothing can be made in *parent*."""
    if isinstance(error, PermissionError):
        user = f"the user {os.geteuid()}, which the application runs as"
        return f"let {user}, write into {parent}, or name another directory"
    if isinstance(error, FileNotFoundError) and not os.path.lexists(parent):
        return f"{parent} does not exist; make that, or name another directory"
    return f"{parent} takes none; name another directory"  # as /proc does, and a file system that is read-only or full


def _check_parent(path: Path) -> None:
    status = _directory_status(path)
    if status.st_uid not in (os.geteuid(), 0):
        raise SpoolError(
            f"the spool {path} belongs to the user {status.st_uid}, and the application runs as {os.geteuid()}: run "
            f"chown {os.geteuid()} {shlex.quote(str(path))}, or name a directory in it, which will be made"
        )
    if _may_others_write(status) and not status.st_mode & stat.S_ISVTX:
        raise SpoolError(
            f"others may move away what lies in the spool {path}: run chmod go-w {shlex.quote(str(path))}, or chmod +t "
            "if they must write there, or name a directory in it, which will be made"
        )


def _check_own(path: Path) -> None:
    status = _directory_status(path)
    if status.st_uid != os.geteuid():
        raise SpoolError(
            f"the directory {path} of the spool belongs to the user {status.st_uid}, and the application runs as "
            f"{os.geteuid()}: if it was that user before, run chown -R {os.geteuid()} {shlex.quote(str(path))}; else "
            "name another spool, because what lies there may be of anybody"
        )
    if _may_others_write(status):
        raise SpoolError(
            f"others may write into the directory {path} of the spool: see that all that lies there is of the "
            f"application, then run chmod go-w {shlex.quote(str(path))}"
        )


def _directory_status(path: Path) -> os.stat_result:
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        raise SpoolError(f"the spool {path} is a symbolic link: name the directory that it leads to")
    if not stat.S_ISDIR(status.st_mode):
        raise SpoolError(f"the spool {path} is no directory: remove it, or name another one")
    return status


def _may_others_write(status: os.stat_result) -> bool:
    return bool(status.st_mode & (stat.S_IWGRP | stat.S_IWOTH))
