"""How many log calls returned, in a file: the system keeps it when the process that counts is killed."""

from array import array
from mmap import mmap
from pathlib import Path


class ReturnedCalls:
    """Count in the file *path*, which :func:`make` made; each thread for itself."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._numbers = memoryview(mmap(file.fileno(), 0)).cast("Q")

    def add(self, thread: int) -> None:
        """Add one call of *thread*."""
        # One aligned store of eight bytes: a kill comes before or after it.
        self._numbers[thread] += 1


def make(path: Path, threads: int) -> None:
    """Make the file for so many *threads*, with a zero for each."""
    path.write_bytes(bytes(8 * threads))


def read(path: Path) -> list[int]:
    """Return the number of each thread."""
    return array("Q", path.read_bytes()).tolist()
