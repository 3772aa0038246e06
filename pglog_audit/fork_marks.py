"""
Whether this process is still the one that made something.

Python's own fork hooks do not run where a server forks in C. The process id would tell, by a system call each time; a
page that the kernel wipes in a forked child (MADV_WIPEONFORK, madvise(2), since Linux 4.14) tells by a look.
"""

import mmap
import os
from contextlib import suppress
from typing import Protocol

_MADV_WIPEONFORK = 18
_SIZE = mmap.PAGESIZE


class ForkMark(Protocol):
    """True at index 0 in the process that made it, false in its forked children."""

    def __getitem__(self, index: int, /) -> int:
        """Return the mark."""


class _PidMark:
    def __init__(self) -> None:
        self._pid = os.getpid()

    def __getitem__(self, index: int, /) -> int:
        return self._pid == os.getpid()


def fork_mark() -> ForkMark:
    """Return a mark of this process."""
    with suppress(AttributeError, OSError):  # another system, or an older kernel
        page = mmap.mmap(-1, _SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        page.madvise(_MADV_WIPEONFORK)
        page[0] = 1
        return page
    return _PidMark()
