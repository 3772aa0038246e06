"""The disk of the spool is full, broken or closed to us: calls return, losses are told, what was kept comes back."""

import os
import subprocess
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest

from pglog_audit.spool.directory import SpoolDirectory
from tests.faults.children import child, strace
from tests.faults.conftest import ON_DISK, away
from tests.faults.exact import assert_accounted, settle
from tests.faults.spools import target_of
from tests.support import configure, flush, is_stuck, log, stats, wait_until, warnings

pytestmark = pytest.mark.faults


@pytest.fixture
def disk(tmp_path):
    """Mount a disk of 64 kB."""
    path = tmp_path / "disk"
    path.mkdir()
    if os.getuid():
        pytest.skip("only root may mount a file system")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "none", path], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)


def remount(disk, mode):
    """Mount *disk* anew, ``ro`` or ``rw``."""
    subprocess.run(["mount", "-o", f"remount,{mode}", disk], check=True)


@ON_DISK
def test_row_16_spool_disk_full(database, options, disk, caplog):
    """What finds room neither on disk nor in memory is counted and explained; the rest comes back."""
    options = {**options, "spool": str(disk / "spool"), "capacity": 100, "batch_size": 50}
    logger = configure(database.writer, **options)
    with away(database):
        log(logger, 10)
        wait_until(lambda: is_stuck(logger))
        log(logger, 2_000)
    lost = stats(logger)["lost"]
    assert set(lost) == {"spool"}
    assert lost["spool"] > 1_000
    assert any("No space left" in text for text in warnings(caplog))
    settle(logger)
    log(logger, 1)
    settle(logger)
    assert_accounted(database, 2_011, lost=lost)


@ON_DISK
def test_row_16_spool_disk_with_room_again(database, options, disk):
    """Lines that wait in memory for a full disk go there as soon as somebody makes room."""
    filler = disk / "filler"
    logger = configure(database.writer, **{**options, "spool": str(disk / "spool")})
    log(logger, 1)
    flush(logger)
    fill(filler)
    with away(database):
        log(logger, 100)
        wait_until(lambda: is_stuck(logger) and stats(logger)["queued"] > 0)
        filler.unlink()
        wait_until(lambda: stats(logger)["queued"] == 0)
    settle(logger)
    assert_accounted(database, 101)
    assert stats(logger)["lost"] == {}


def fill(path):
    """Write to *path* what the disk takes."""
    with suppress(OSError), path.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


# A journal's open segment keeps the kernel from remounting; of its errors the tests with strace tell.
@pytest.mark.parametrize("options", ["spool"], indirect=True)
def test_row_16_spool_disk_turns_read_only(database, options, disk, caplog):
    """Events stay in memory while their disk takes none, and go there when it does."""
    logger = configure(database.writer, **{**options, "spool": str(disk / "spool")})
    log(logger, 1)
    flush(logger)
    assert_kept_after(database, logger, disk, caplog)


@ON_DISK
def test_row_16_spool_read_only_from_the_start(database, options, disk, caplog):
    """The first record tells of it, not the outage that needs the disk; with the database there nothing is lost."""
    remount(disk, "ro")
    logger = configure(database.writer, **{**options, "spool": str(disk / "spool")})
    log(logger, 1)
    assert any("spool does not work" in text and "Read-only file system" in text for text in warnings(caplog))
    flush(logger)
    assert_kept_after(database, logger, disk, caplog)


def assert_kept_after(database, logger, disk, caplog):
    """Check that events of an outage stay in memory while *disk* is read-only, and are kept there afterwards."""
    with away(database):
        remount(disk, "ro")
        log(logger, 20)
        wait_until(lambda: is_stuck(logger) and stats(logger)["queued"] == 20)
        assert any("Read-only file system" in text for text in warnings(caplog))
        remount(disk, "rw")
        log(logger, 20)
        wait_until(lambda: stats(logger)["queued"] == 0)
    settle(logger)
    assert_accounted(database, 41)
    assert stats(logger)["lost"] == {}


@ON_DISK
def test_row_16_spool_of_another_owner(database, options, tmp_path, caplog):
    """A directory that belongs to somebody else is not used; the first record says whose it is."""
    if os.getuid():
        pytest.skip("only root may give a directory away")
    spool = tmp_path / "spool"
    spool.mkdir(mode=0o700)
    os.chown(spool, 12345, 12345)
    logger = configure(database.writer, capacity=100, **options)
    log(logger, 1)
    assert any("belongs to the user 12345" in text for text in warnings(caplog))
    flush(logger)
    with away(database):
        log(logger, 1)
        wait_until(lambda: is_stuck(logger))
        log(logger, 500)
    lost = stats(logger)["lost"]
    assert set(lost) == {"spool"}
    assert list(spool.iterdir()) == []
    settle(logger)
    log(logger, 1)
    settle(logger)
    assert_accounted(database, 503, lost=lost)


# Errors of the disk, injected into a child


def segments_of(options, conninfo, writer_id):
    """Return where a writer of that id puts its first segments."""
    path = SpoolDirectory(Path(options["spool"]), target_of(conninfo), is_durable=False).path
    return [path / f"{writer_id}.{number:06}.spool" for number in range(1, 4)]


def recover(database, options):
    """Start another writer, which replays what the child left."""
    logger = configure(database.writer, **options)
    log(logger, 1)
    settle(logger)


@ON_DISK
@pytest.mark.parametrize("turn", [2, 3, 7])
def test_row_17_an_error_while_writing(database, options, turn):
    """A line that the disk did not take goes there later, and is no row twice."""
    writer_id = str(uuid4())
    under = strace(f"write:error=EIO:when={turn}", *segments_of(options, database.writer, writer_id))
    with away(database), child({"conninfo": database.writer, **options}, writer_id, under=under) as process:
        for _ in range(10):
            process.ask("log 1")
        after = process.wait_until(lambda stats: stats["spooled"] == 10)
        assert (after["lost"], after["queued"]) == ({}, 0)
        process.end()
    recover(database, options)
    assert_accounted(database, 11)


@ON_DISK
@pytest.mark.parametrize("fsync", ["rotate", "always"])
def test_row_17_an_error_while_syncing(database, options, fsync):
    """Lines that could not be made durable are written anew, and come back once."""
    options = {**options, "fsync": fsync}
    under = strace("fsync:error=EIO:when=2")
    with away(database), child({"conninfo": database.writer, **options}, under=under) as process:
        process.ask("log 10")
        after = process.wait_until(lambda stats: stats["spooled"] == 10)
        assert after["lost"] == {}
        assert "lost" not in process.end()
    recover(database, options)
    assert_accounted(database, 11)


@ON_DISK
def test_row_17_a_disk_that_never_syncs(database, options):
    """Where each line is to be durable and none can be, none counts as kept, and the end says how many are lost."""
    options = {**options, "fsync": "always", "shutdown_timeout": 0.5}
    under = strace("fsync:error=EIO")
    with away(database), child({"conninfo": database.writer, **options}, under=under) as process:
        assert process.ask("log 10")["unjournaled"] == (10 if options["journal"] else 0)
        after = process.wait_until(lambda stats: stats["problem"] is not None)
        assert (after["spooled"], after["queued"], after["lost"]) == (0, 10, {})
        assert "10 audit events lost at exit" in process.end()
    recover(database, options)
    assert len(database.rows()) == 1


@ON_DISK
def test_row_17_no_descriptors(database, options):
    """A process without a free descriptor keeps its events in memory until it has one for the spool."""
    with child({"conninfo": database.writer, **options}) as process:
        process.ask("log 1")
        process.ask("flush")
        with away(database):
            process.ask("descriptors 0")
            process.ask("log 10")
            after = process.wait_until(lambda stats: stats["problem"] is not None)
            assert (after["spooled"] + after["queued"], after["lost"]) == (10, {})
            process.ask("descriptors -1")
            process.ask("log 10")
            process.wait_until(lambda stats: stats["spooled"] == 20)
        process.wait_until(lambda stats: stats["stored"] == 21)
        process.end()
    assert_accounted(database, 21)
