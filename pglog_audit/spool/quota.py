"""How much the spool of a target may hold, and how much it does."""

import time

from ..errors import SpoolError
from .directory import SpoolDirectory

_MAX_AGE = 1.0
"""Seconds until a full spool is looked at again: others may have made room."""


class SpoolQuota:
    """
    Count what we write, and measure now and then what others write too.

    :param max_bytes: of all segments and rejects in *directory*.
    """

    def __init__(self, directory: SpoolDirectory, max_bytes: int) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._measured_at = float("-inf")
        self.used = 0

    def measure(self) -> None:
        """Look into the directory."""
        self.used, self._measured_at = self._directory.usage(), time.monotonic()

    def room(self, needed: int) -> int:
        """
        Return how many bytes there may still be.

        :raises SpoolError: fewer than *needed*.
        """
        is_full = self.used + needed > self._max_bytes
        if self._measured_at == float("-inf") or (is_full and time.monotonic() > self._measured_at + _MAX_AGE):
            self.measure()
        if self.used + needed > self._max_bytes:
            raise SpoolError(
                f"the spool {self._directory.path} is full: it has {self.used} of {self._max_bytes} bytes, and a line "
                f"needs {needed}; it empties as soon as the database takes its lines, or raise the limit"
            )
        return self._max_bytes - self.used
