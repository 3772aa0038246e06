"""The locks of files, as Linux tells of them: asked without taking one, which would keep others off."""

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_LOCKS = Path("/proc/locks")
# Its kind, its holder, and the file: see proc_locks(5). One that waits for the lock has an arrow.
_LOCK = re.compile(r"^\d+: FLOCK +\S+ +\S+ +(-?\d+) ([0-9a-f]+):([0-9a-f]+):(\d+) ", re.MULTILINE)


def lock_holders(paths: Iterable[Path]) -> dict[Path, int] | None:
    """
    Return for each of *paths* that is locked by flock(2) the process that locked it.

    None if the system does not tell, as others than Linux do not. What a process of another container has locked
    looks free.
    """
    try:
        locks = _LOCKS.read_text("ascii", "replace")
    except OSError:
        return None
    held = {(int(major, 16), int(minor, 16), int(inode)): int(pid) for pid, major, minor, inode in _LOCK.findall(locks)}
    holders: dict[Path, int] = {}
    for path in paths:
        with suppress(FileNotFoundError):
            status = path.lstat()
            key = (os.major(status.st_dev), os.minor(status.st_dev), status.st_ino)
            if key in held:
                holders[path] = held[key]
    return holders
