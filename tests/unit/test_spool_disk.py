"""The spool on disks that are full or broken, and in processes that may not open or write more: all of it real."""

import os
import shutil
import subprocess
import sys

import pytest

from pglog_audit.spool.directory import SpoolDirectory
from tests.spools import TARGET, drained, event, events, made, run, segments


@pytest.fixture
def small_disk(tmp_path):
    """Mount a disk of 64 kB."""
    path = tmp_path / "disk"
    path.mkdir()
    if os.getuid():
        pytest.skip("only root may mount a file system")
    options = ["-t", "tmpfs", "-o", "size=64k,mode=700", "none"]
    done = subprocess.run(["mount", *options, path], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", path], check=True)


@pytest.mark.parametrize("fsync", ["never", "rotate", "always"])
@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_a_full_disk(small_disk, fsync, batch):
    """What append() counted comes back, nothing else does, and no half line stays."""
    spool = made(small_disk, fsync=fsync)
    lines, kept = events(1000, size=100), 0
    while spool.problem is None:
        kept += spool.append(lines[kept : kept + batch])
    assert spool.problem.endswith("No space left on device")
    assert 200 < kept < 500
    assert all(path.read_bytes().endswith(b"}\n") for path in segments(small_disk))
    spool.seal()
    assert drained(spool) == lines[:kept]


@pytest.mark.parametrize("batch", [1, 1000])
def test_a_disk_with_room_again(small_disk, batch):
    """The next call after somebody made room goes on where the last one stopped."""
    filler = small_disk / "filler"
    filler.write_bytes(bytes(40_000))
    spool = made(small_disk)
    lines, kept = events(150, size=100), 0
    while spool.problem is None:
        kept += spool.append(lines[kept : kept + batch])
    assert 0 < kept < 150
    filler.unlink()
    while kept < 150:
        kept += spool.append(lines[kept : kept + batch])
        assert spool.problem is None
    spool.seal()
    assert drained(spool) == lines


def test_a_disk_too_full_for_a_segment(small_disk):
    """A segment that cannot even begin is not left behind."""
    filler = small_disk / "filler"
    with pytest.raises(OSError, match="No space left"), filler.open("wb") as file:
        file.write(bytes(100_000))
    spool = made(small_disk)
    assert spool.append([event(1)]) == 0
    assert spool.problem.endswith("No space left on device")
    assert segments(small_disk) == []
    filler.unlink()
    assert spool.append([event(1)]) == 1
    spool.close()


def test_replaying_frees_a_full_disk(small_disk):
    """Lines that became rows make room for new ones, though the disk is full until then."""
    spool = made(small_disk)
    kept = spool.append(events(1000, size=100))
    spool.seal()
    assert spool.append([event(0, size=60_000)]) == 0
    assert len(drained(spool)) == kept
    assert spool.append([event(0, size=50_000)]) == 1
    spool.close()


def test_rejects_on_a_full_disk(small_disk):
    """A reject that does not fit is told, and leaves no half line."""
    spool = made(small_disk)
    while spool.reject("x" * 1000, "22P02", "invalid input"):
        pass
    assert spool.problem.endswith("No space left on device")
    (path,) = small_disk.glob("*/*.rejects")
    assert path.read_bytes().endswith(b"}\n")


def test_a_process_that_may_not_write_large_files(tmp_path):
    """With RLIMIT_FSIZE lines go on in another segment; only one that fits into none finds no room."""
    program = """
import resource, sys
from pathlib import Path
from tests.spools import drained, event, events, made
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, -1))
spool = made(Path(sys.argv[1]))
print(spool.append(events(300)), spool.problem)
print(spool.append([event(0, size=10_000)]), spool.problem)
print(spool.append([event(300)]), spool.problem)
spool.seal()
print(drained(spool) == events(301))
"""
    kept, too_large, after, exact = run(program, tmp_path / "spool").splitlines()
    assert (kept, after, exact) == ("300 None", "1 None", "True")
    assert too_large.startswith("0 ")
    assert too_large.endswith("File too large")


def test_a_process_without_descriptors(tmp_path):
    """With RLIMIT_NOFILE used up nothing is kept or taken; when others are closed both go on."""
    program = """
import os, resource, sys
from pathlib import Path
from tests.spools import drained, event, leave, made
directory = Path(sys.argv[1])
leave(directory, [event(1)])
spool = made(directory)
free = os.open("/dev/null", os.O_RDONLY)
resource.setrlimit(resource.RLIMIT_NOFILE, (free, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
print(spool.append([event(2)]), spool.take(10, 1000), spool.problem)
resource.setrlimit(resource.RLIMIT_NOFILE, (free + 10, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
print(spool.append([event(2)]), spool.problem)
spool.seal()
print(drained(spool) == [event(1), event(2)])
"""
    without, with_some, exact = run(program, tmp_path / "spool").splitlines()
    assert without.startswith("0 None ")
    assert without.endswith("Too many open files")
    assert (with_some, exact) == ("1 None", "True")


def run_injected(directory, injection, program, *, everywhere=False):
    """Run *program* under strace, which makes system calls fail: on segments of *directory*, or everywhere."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace, which makes system calls fail, is not installed")
    paths = [SpoolDirectory(directory, TARGET, is_durable=False).path / f"w1.00000{n}.spool" for n in (1, 2)]
    where = [] if everywhere else ["-P", paths[0], "-P", paths[1]]
    command = [strace, "-f", "-qq", "-o", os.devnull, *where, "-e", f"inject={injection}"]
    done = subprocess.run([*command, sys.executable, "-c", program, directory], capture_output=True, text=True)
    if "ptrace" in done.stderr:
        pytest.skip(f"strace may not trace here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


APPENDS = """
import sys
from pathlib import Path
from tests.spools import drained, event, events, made
spool = made(Path(sys.argv[1]), fsync="{fsync}")
kept = []
for n in range(5):
    if spool.append([event(n)]):
        kept.append(event(n))
    else:
        print(spool.problem)
spool.seal()
print(len(kept), sorted(drained(spool)) == kept)
"""


def test_an_error_of_the_disk_while_writing(tmp_path):
    """With EIO the line is not counted and does not come back; those before and after it are kept."""
    injection = "write:error=EIO:when=3"  # the first is the header
    problem, result = run_injected(tmp_path / "spool", injection, APPENDS.format(fsync="never"))
    assert problem.endswith("Input/output error")
    assert result == "4 True"


@pytest.mark.parametrize(("fsync", "turn"), [("rotate", 1), ("always", 1), ("always", 3)])
def test_an_error_of_the_disk_while_syncing(tmp_path, fsync, turn):
    """With EIO the lines are written anew, and each comes back once."""
    injection = f"fsync:error=EIO:when={turn}"
    assert run_injected(tmp_path / "spool", injection, APPENDS.format(fsync=fsync)) == ["5 True"]


def test_a_disk_that_never_syncs(tmp_path):
    """With fsync="always" nothing counts as kept, and nothing comes back."""
    program = APPENDS.format(fsync="always")
    *problems, result = run_injected(tmp_path / "spool", "fsync:error=EIO", program, everywhere=True)
    assert len(problems) == 5
    assert all(problem.endswith("Input/output error") for problem in problems)
    assert result == "0 True"
    assert segments(tmp_path / "spool") == []


def test_a_half_line_that_cannot_be_cut_off(tmp_path):
    """Where a short write cannot be taken back the segment is closed, and whole lines go on in the next."""
    program = """
import resource, sys
from pathlib import Path
from tests.spools import batches, event, events, made
spool = made(Path(sys.argv[1]))
spool.append([event(0)])
resource.setrlimit(resource.RLIMIT_FSIZE, (250, -1))
print(spool.append([event(1)]), spool.problem)
spool.seal()
taken = list(batches(spool))
print([line for each in taken for line in each.lines] == events(2))
print([line.is_torn for each in taken for line in each.bad])
"""
    assert run_injected(tmp_path / "spool", "ftruncate:error=EIO", program) == ["1 None", "True", "[True]"]
