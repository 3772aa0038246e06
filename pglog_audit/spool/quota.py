"""How much the spool of a target may hold, and how much it does."""

import time
from contextlib import suppress

from ..errors import SpoolError
from .directory import SpoolDirectory

MAX_AGE = 1.0
"""Seconds between two looks at what others have written and removed."""


class SpoolQuota:
    """
    Count what we write, and measure now and then what others write too.

    :param max_bytes: of all segments and rejects in *directory*.
    """

    def __init__(self, directory: SpoolDirectory, max_bytes: int) -> None:
        self._directory = directory
        self.max_bytes = max_bytes
        self._measured_at = float("-inf")
        self.used = 0

    def measure(self) -> None:
        """Look into the directory."""
        self.used, self._measured_at = self._directory.usage(), time.monotonic()

    def release(self, size: int) -> None:
        """Note that a file of *size* bytes is gone; whoever wrote it, it may not be among what we know of."""
        self.used = max(0, self.used - size)
        self.refresh()

    def refresh(self) -> None:
        """Look into the directory if that was not done lately; without a descriptor for it what we know must do."""
        if time.monotonic() > self._measured_at + MAX_AGE:
            with suppress(OSError):
                self.measure()

    def room(self, needed: int) -> int:
        """
        Return how many bytes there may still be.

        :raises SpoolError: fewer than *needed*.
        """
        if self.used + needed > self.max_bytes or self._measured_at == float("-inf"):
            self.refresh()
        if self.used + needed > self.max_bytes:
            raise SpoolError(
                f"the spool {self._directory.path} is full: it has {self.used} of {self.max_bytes} bytes, and a line "
                f"needs {needed}; it empties when the database takes its lines and somebody moves its rejects away, or "
                "raise spool_max_bytes"
            )
        return self.max_bytes - self.used
