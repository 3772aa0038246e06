"""The replaying side of a spool: the segments that we closed, and those that dead writers left, the oldest first."""

import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from .. import diagnostics
from ..errors import SpoolError
from .directory import SpoolDirectory
from .segment import Segment
from .segment_reader import SegmentReader, Taken, adopt
from .status import started

_UNKNOWN = datetime.max.replace(tzinfo=UTC)
"""A segment that does not say when it was begun may be just beginning."""


class SpoolReplay:
    """
    Take lines, one segment at a time; not for two threads at once.

    :param writer_id: whose segments are replayed also where locks cannot tell whether others live.
    :param hand_over: gives a segment that our writer holds.
    :param on_done: removes a segment whose lines are all acknowledged.
    """

    def __init__(
        self,
        directory: SpoolDirectory,
        target: str,
        writer_id: str,
        hand_over: Callable[[Path], Segment | None],
        on_done: Callable[[SegmentReader], None],
    ) -> None:
        self._directory = directory
        self._target = target
        self._own = f"{writer_id}."
        self._hand_over = hand_over
        self._on_done = on_done
        self._reader: SegmentReader | None = None
        self._waiting: deque[Path] = deque()
        """Segments that were seen, the oldest first."""
        self._passed_over: set[Path] = set()
        self.is_blocked = False
        """Whether something lay there, when we last looked, that we could not take."""

    def take(self, max_lines: int, max_bytes: int) -> Taken | None:
        """Return the next lines: see :meth:`Spool.take`."""
        while (reader := self._reading()) is not None:
            try:
                taken = reader.take(max_lines, max_bytes)
            except OSError as error:
                self._pass_over(reader.path, f"{reader.path} is left as it is, not to be read: {error.strerror}")
                self.close()
                continue
            if taken is not None or not reader.is_done():
                return taken
            self._finish(reader)
        return None

    def read_on(self, max_lines: int, max_bytes: int) -> None:
        """Prepare the next lines of the same segment: see :meth:`Spool.read_on`."""
        if self._reader is not None:
            self._reader.read_on(max_lines, max_bytes)

    def rewind(self) -> None:
        """Take again what was taken and not acknowledged."""
        if self._reader is not None:
            self._reader.rewind()

    def acknowledge(self, taken: Taken) -> None:
        """Note that all of *taken* is dealt with: see :meth:`Spool.acknowledge`."""
        reader = self._reader
        if reader is None or reader.path != taken.path:
            return  # closed meanwhile: whoever comes next takes them again
        reader.acknowledge(taken)
        if reader.is_done():
            self._finish(reader)

    def _finish(self, reader: SegmentReader) -> None:
        self._reader = None
        try:
            self._on_done(reader)
        except OSError as error:
            self._pass_over(reader.path, f"{reader.path} is replayed and cannot be removed: {error.strerror}")
        finally:
            reader.close()

    def _reading(self) -> SegmentReader | None:
        """Return the segment that lines are taken from now."""
        if self._reader is None:
            self._reader = next(self._readers(), None)
        return self._reader

    def _readers(self) -> Iterator[SegmentReader]:
        yield from self._open_waiting()
        self._waiting = self._find()
        yield from self._open_waiting()

    def _open_waiting(self) -> Iterator[SegmentReader]:
        while self._waiting:
            reader = self._open(self._waiting.popleft())
            if reader is not None:
                yield reader

    def _find(self) -> deque[Path]:
        """Return the segments there are, the oldest first; also those that living writers hold."""
        try:
            paths = {self._directory.path / name for name in self._directory.names()}
            self._passed_over &= paths
            self.is_blocked = bool(self._passed_over)
            paths -= self._passed_over
            paths -= self._not_to_be_adopted(paths)
            return deque(sorted(paths, key=lambda path: (started(path) or _UNKNOWN, path)))
        except SpoolError as error:
            self._warn(str(error))
        except OSError as error:
            self._warn(f"the spool {self._directory.path} cannot be looked through: {error.strerror}")
        return deque()

    def _not_to_be_adopted(self, paths: set[Path]) -> set[Path]:
        """Return those of *paths* that others wrote, where nothing tells whether they live."""
        others = {path for path in paths if not path.name.startswith(self._own)}
        if not others or not self._directory.is_shared():
            return set()
        self._warn(
            f"{self._directory.path} has {len(others)} segment(s) of other writers and lies on a network file system, "
            "where locks do not tell whether those live; move the segments of those that ended to the same directory "
            "of a spool on a local disk, where they are replayed, and let the option spool name that one"
        )
        return others

    def _open(self, path: Path) -> SegmentReader | None:
        """Return *path* to read; None if it is not for us, or not now."""
        held = self._hand_over(path)
        try:
            if held:
                return SegmentReader(path, held.descriptor, held.rest, held.header.writer)
            return adopt(path, self._target)
        except SpoolError as error:
            self._pass_over(path, str(error))
        except OSError as error:
            self._warn(f"{path} cannot be opened now: {error.strerror}")
        return None

    def _pass_over(self, path: Path, why: str) -> None:
        """Leave *path* alone from now on."""
        self._passed_over.add(path)
        self._warn(why)

    def _warn(self, why: str) -> None:
        self.is_blocked = True
        diagnostics.warn("spool replay", "Audit events wait in the spool: %s", why)

    def close(self) -> None:
        """Let go of the segment; it is replayed from its first line by whoever comes next."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def descriptors(self) -> Iterator[int]:
        """Return the descriptors that are open."""
        return iter([self._reader.descriptor] if self._reader else [])


def close_inherited(descriptors: Iterator[int]) -> None:
    """Close in a forked child what it shares with its parent, which keeps its locks by descriptors of its own."""
    for descriptor in descriptors:
        with suppress(OSError):
            os.close(descriptor)
