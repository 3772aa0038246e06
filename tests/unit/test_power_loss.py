"""What the spool has left after the power was lost: of files and directories, what fsync(2) had made durable."""

import os
import stat

import pytest

from pglog_audit.spool import segment_writer
from tests.spools import drained, events, made


class Disk:
    """Remember what was durable at each moment."""

    def __init__(self, monkeypatch):
        self._sizes = {}
        self._names = {}
        self._fsync = os.fsync
        monkeypatch.setattr(os, "fsync", self._sync)

    def _sync(self, descriptor):
        self._fsync(descriptor)
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            self._names[status.st_ino] = os.listdir(descriptor)
        else:
            self._sizes[status.st_ino] = status.st_size

    def lose_power(self, root):
        """Leave of the files below *root* what was durable."""
        for path in [path for path in root.rglob("*") if path.is_file()]:
            if path.name in self._names.get(path.parent.stat().st_ino, ()):
                os.truncate(path, self._sizes.get(path.stat().st_ino, 0))
            else:
                path.unlink()


@pytest.fixture(params=["append", "record"])
def keep(request):
    """Return a function that gives a line to the spool: because the database is away, or into the journal."""
    if request.param == "append":
        return lambda spool, line, number: spool.append([line]) == 1
    return lambda spool, line, number: spool.record(line, number)


@pytest.mark.parametrize("fsync", ["never", "rotate", "always"])
def test_power_loss(tmp_path, monkeypatch, keep, fsync):
    """Nothing is lost with "always"; with "rotate" the last segment and a full one; with "never" what it takes."""
    monkeypatch.setattr(segment_writer, "SEGMENT_BYTES", 2_000)
    disk = Disk(monkeypatch)
    lines = events(100)
    spool = made(tmp_path / "spool", fsync=fsync)
    assert all(keep(spool, line, number) for number, line in enumerate(lines, 1))
    spool.abandon("w2")  # the writer is gone, and its locks with it
    disk.lose_power(tmp_path)
    found = drained(made(tmp_path / "spool", "w3"))
    assert found == lines[: len(found)]
    if fsync == "always":
        assert found == lines
    elif fsync == "rotate":
        assert 0 < sum(len(line) + 1 for line in lines[len(found) :]) <= 2 * 2_000
