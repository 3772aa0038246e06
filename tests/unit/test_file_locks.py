"""Who holds which lock, as /proc/locks tells."""

import os
import subprocess
import sys

import pytest

from pglog_audit import file_locks
from pglog_audit.file_locks import lock_holders

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")

HOLD = (
    "import fcntl, sys; file = open(sys.argv[1]); fcntl.flock(file, fcntl.LOCK_EX); print('held', flush=True); input()"
)


def test_the_holder_of_each_file(tmp_path):
    """A locked file has the process that locked it, one that is not locked or not there has none."""
    held, free = tmp_path / "held", tmp_path / "free"
    held.touch()
    free.touch()
    command = [sys.executable, "-c", HOLD, held]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        assert lock_holders([held, free, tmp_path / "gone"]) == {held: process.pid}
        process.communicate(b"\n")
    assert lock_holders([held]) == {}


def test_who_waits_is_no_holder(tmp_path, monkeypatch):
    """A process that only wants the lock is passed over."""
    path = tmp_path / "file"
    path.touch()
    status = path.stat()
    file = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    locks = f"1: FLOCK  ADVISORY  WRITE 41 {file} 0 EOF\n1: -> FLOCK  ADVISORY  WRITE 42 {file} 0 EOF\n"
    locks += f"2: POSIX  ADVISORY  WRITE 43 {file} 0 EOF\n"
    (tmp_path / "locks").write_text(locks)
    monkeypatch.setattr(file_locks, "_LOCKS", tmp_path / "locks")
    assert lock_holders([path]) == {path: 41}


def test_a_system_that_does_not_tell(tmp_path, monkeypatch):
    """Nothing known is not the same as nobody."""
    monkeypatch.setattr(file_locks, "_LOCKS", tmp_path / "none")
    assert lock_holders([tmp_path]) is None
