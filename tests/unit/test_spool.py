"""Lines on disk: what is kept, what comes back, and who may take it."""

import json
import os
import re
import signal
import stat
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pglog_audit.errors import ConfigurationError, SpoolError
from pglog_audit.spool import Spool, closed_segments, quota, read_rejects, replay, segment_reader, segment_writer
from pglog_audit.spool import directory as spool_directory
from pglog_audit.spool.directory import SpoolDirectory
from pglog_audit.spool.segment_reader import BadLine
from pglog_audit.spool.status import read_statuses
from tests.spools import TARGET, batches, drained, event, events, leave, made, run, segments, start
from tests.support import wait_until, warnings


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "spool"


def bad(spool):
    """Return what stood in the segments in place of lines."""
    return [line for taken in batches(spool) for line in taken.bad]


# Keeping and giving back


def test_nothing_is_touched_before_the_first_use(directory):
    """A spool that keeps and takes nothing makes no directory."""
    spool = made(directory)
    assert spool.take(10, 1000) is None
    spool.seal()
    spool.close()
    assert spool.status().segments == 0
    assert not directory.exists()


@pytest.mark.parametrize("fsync", ["never", "rotate", "always"])
def test_lines_come_back_in_order(directory, fsync):
    """Every line comes back exactly, and the segment is gone when all are acknowledged."""
    spool = made(directory, fsync=fsync)
    lines = events(25)
    assert spool.append(lines[:20]) == 20
    assert spool.append(lines[20:]) == 5
    assert spool.problem is None
    spool.seal()
    assert drained(spool, max_lines=7) == lines
    assert segments(directory) == []


def test_the_current_segment_is_not_taken(directory):
    """Lines are replayed only after the segment is closed, and later lines lie in another one."""
    spool = made(directory)
    spool.append([event(1)])
    assert spool.take(10, 1000) is None
    spool.seal()
    spool.append([event(2)])
    assert drained(spool) == [event(1)]
    assert len(segments(directory)) == 1


def test_no_lines_are_no_segment(directory):
    """Appending nothing keeps nothing."""
    spool = made(directory)
    assert spool.append([]) == 0
    assert not directory.exists()


def test_an_empty_segment_is_removed_when_it_is_closed(directory):
    """A segment that no line found room in is not left to be replayed."""
    spool = made(directory, max_bytes=200)
    assert spool.append([event(1, size=200)]) == 0
    assert len(segments(directory)) == 1
    spool.seal()
    assert segments(directory) == []


def test_a_batch_has_at_most_so_many_lines(directory):
    """What does not fit into one batch comes with the next."""
    leave(directory, events(5))
    assert [len(taken.lines) for taken in batches(made(directory), max_lines=2)] == [2, 2, 1]


def test_a_batch_has_at_most_so_many_bytes(directory):
    """The ends of lines count, and a line that is longer comes alone."""
    length = len(event(0).encode()) + 1
    leave(directory, [*events(4), event(9, size=1000), event(5)])
    sizes = [len(taken.lines) for taken in batches(made(directory), max_bytes=2 * length)]
    assert sizes == [2, 2, 1, 1]


def test_lines_longer_than_a_chunk(directory):
    """A line of a megabyte comes back like any other, however few bytes a batch has."""
    lines = [event(n, size=1_000_000) for n in range(3)]
    leave(directory, lines)
    taken = list(batches(made(directory), max_bytes=10))
    assert [line for each in taken for line in each.lines] == lines


def test_a_numeral_that_orjson_refuses_comes_back(directory):
    """What PostgreSQL may store is a good line, whatever the parser thinks of numbers."""
    lines = ['{"metadata":{"n":1' + "0" * 5000 + "}}", '{"message":"\\ud800"}', '{"n":18446744073709551617}']
    leave(directory, lines)
    assert drained(made(directory)) == lines


def test_a_full_segment_is_closed(directory, monkeypatch):
    """Lines go on in the next segment, and come back in order."""
    monkeypatch.setattr(segment_writer, "SEGMENT_BYTES", 500)
    spool = made(directory)
    lines = events(30)
    assert spool.append(lines) == 30
    spool.seal()
    assert len(segments(directory)) > 4
    assert max(path.stat().st_size for path in segments(directory)) <= 500
    assert drained(spool) == lines


def test_what_is_not_acknowledged_is_taken_again(directory):
    """After a rewind the next batch begins behind the last acknowledged line."""
    leave(directory, events(6))
    spool = made(directory)
    spool.acknowledge(spool.take(2, 1000))
    spool.take(2, 1000)
    spool.take(2, 1000)
    spool.rewind()
    assert drained(spool, max_lines=1) == events(6)[2:]


def test_a_segment_stays_until_its_last_line_is_acknowledged(directory):
    """Whoever comes next takes all of it again."""
    leave(directory, events(6))
    spool = made(directory)
    spool.acknowledge(spool.take(5, 1000))
    last = spool.take(5, 1000)
    assert spool.take(5, 1000) is None
    spool.close()
    spool.acknowledge(last)
    assert drained(made(directory, "w2")) == events(6)


def test_acknowledging_out_of_order_is_an_error(directory):
    """A later batch does not stand for an earlier one."""
    leave(directory, events(2))
    spool = made(directory)
    spool.take(1, 1000)
    second = spool.take(1, 1000)
    with pytest.raises(ValueError, match="in the order"):
        spool.acknowledge(second)


def test_acknowledging_twice_changes_nothing(directory):
    """A batch that is acknowledged already stays so."""
    leave(directory, events(2))
    spool = made(directory)
    first = spool.take(1, 1000)
    spool.acknowledge(first)
    spool.acknowledge(first)
    assert drained(spool) == [event(1)]


def test_a_closed_spool_opens_anew(directory):
    """Lines that come after close() are kept in a segment of their own."""
    spool = made(directory)
    spool.append([event(1)])
    spool.close()
    spool.close()
    spool.append([event(2)])
    spool.close()
    assert drained(spool) == events(3)[1:]


@pytest.mark.parametrize("line", ["{}\n{}", "\n", "x" * segment_reader.MAX_LINE, '{"a":"\ud800"}'])
def test_what_is_no_line_is_refused(directory, line):
    """A text that could not come back as one line is an error of the caller's, and nothing of the call is kept."""
    spool = made(directory)
    with pytest.raises(ValueError, match=r"a line of|surrogates not allowed"):
        spool.append([event(1), line])
    assert segments(directory) == []


@pytest.mark.parametrize("options", [{"writer_id": "../x"}, {"writer_id": ""}, {"fsync": "often"}])
def test_options_that_can_never_work(directory, options):
    """A name that leaves the directory, or an unknown mode, is refused at once."""
    with pytest.raises(ConfigurationError, match=re.escape(repr(next(iter(options.values()))))):
        made(directory, **options)


def test_windows_is_told_so(tmp_path):
    """Without flock the module loads, and a spool says why there is none."""
    program = """
import sys
from pathlib import Path
sys.modules["fcntl"] = None
from pglog_audit.errors import SpoolError
from pglog_audit.spool import Spool
try:
    Spool(Path("x"), "t", "w")
except SpoolError as error:
    print(error)
"""
    assert re.search("x needs flock.*leave the option out", run(program))


# The files


def test_files_are_ours_alone(directory):
    """Directories are 0700 and files 0600, and no program that we start inherits them."""
    spool = made(directory)
    spool.append([event(1)])
    spool.reject(event(2), None, "no room")
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in [directory, *directory.rglob("*")]}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}
    assert not any(os.get_inheritable(number) for number in spool._writer.descriptors())


def test_the_directory_of_a_target_is_readable(directory):
    """Its name says which target it is for, and two targets that look alike there have two."""
    Spool(directory, "db/app audit-log", "w1", fsync="never").append([event(1)])
    Spool(directory, "db/app audit.log", "w1", fsync="never").append([event(1)])
    names = [path.parent.name for path in segments(directory)]
    assert len(set(names)) == 2
    assert all(re.fullmatch("db-app-audit-log-[0-9a-f]{12}", name) for name in names)


def test_a_relative_directory_stays_where_it_was(tmp_path, monkeypatch):
    """A daemon that changes to / afterwards writes to the same place."""
    monkeypatch.chdir(tmp_path)
    spool = made(tmp_path.relative_to(tmp_path) / "spool")
    monkeypatch.chdir("/")
    spool.append([event(1)])
    assert len(segments(tmp_path / "spool")) == 1


@pytest.mark.parametrize("what", ["file", "directory"])
def test_a_spool_that_was_removed_is_made_again(directory, caplog, what):
    """Lines written after somebody cleaned up are kept, and the loss is told."""
    spool = made(directory)
    spool.append([event(1)])
    (path,) = segments(directory)
    path.unlink()
    if what == "directory":
        path.parent.rmdir()
        directory.rmdir()
    assert spool.append([event(2)]) == 1
    spool.seal()
    assert drained(spool) == [event(2)]
    assert [w for w in warnings(caplog) if f"{path} was removed while it was in use" in w]


def make_link(directory, own):
    (directory.parent / "real").mkdir()
    directory.symlink_to("real")


def make_file(directory, own):
    directory.write_text("")


def make_writable_for_others(directory, own):
    directory.mkdir()
    directory.chmod(0o777)


def make_writable_for_a_group(directory, own):
    directory.mkdir()
    directory.chmod(0o2775)


def make_for_another_user(directory, own):
    directory.mkdir()
    as_root(lambda: os.chown(directory, 12345, 12345))


def make_own_for_another_user(directory, own):
    own.mkdir(parents=True)
    as_root(lambda: os.chown(own, 12345, 12345))


def make_own_writable_for_others(directory, own):
    own.mkdir(parents=True)
    own.chmod(0o770)


def make_own_a_link(directory, own):
    (directory / "real").mkdir(parents=True)
    own.symlink_to("real")


def make_parent_missing(directory, own):
    directory.parent.rmdir()


def as_root(change):
    """Make a change that only root may make."""
    if os.geteuid():
        pytest.skip("only root may give files away")
    change()


REFUSED = [
    (make_link, "spool {directory} is a symbolic link: name the directory that it leads to"),
    (make_file, "spool {directory} is no directory: remove it"),
    (make_writable_for_others, r"spool {directory}: run chmod go-w {directory}, or chmod \+t .* directory in it"),
    (make_writable_for_a_group, r"spool {directory}: run chmod go-w {directory}, or chmod \+t .* directory in it"),
    (
        make_for_another_user,
        "{directory} belongs to the user 12345, .* run chown 0 {directory}, or name a directory in",
    ),
    (
        make_own_for_another_user,
        "{own} of the spool belongs to the user 12345, .* user before, run chown -R 0 {own}; else name another",
    ),
    (make_own_writable_for_others, "others may write into the directory {own} .* run chmod go-w {own}"),
    (make_own_a_link, "{own} is a symbolic link"),
    (make_parent_missing, "does not exist; make that"),
]


@pytest.mark.parametrize(("make", "words"), REFUSED, ids=[make.__name__ for make, _ in REFUSED])
def test_a_directory_that_is_not_ours_is_refused(directory, make, words):
    """prepare() raises, append() keeps nothing, and both say which path it is and what to run."""
    own = SpoolDirectory(directory, TARGET, is_durable=False).path
    make(directory, own)
    spool = made(directory)
    words = words.format(directory=directory, own=own)
    with pytest.raises(SpoolError, match=words):
        spool.prepare()
    assert spool.append([event(1)]) == 0
    assert re.search(words, spool.problem)


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="/proc is of Linux, and asks root alone")
def test_a_directory_that_takes_none_is_told():
    """What exists is not to be made: the system's error tells what is wrong."""
    words = r"the spool /proc/x cannot be made \(No such file or directory\): /proc takes none; name another directory"
    with pytest.raises(SpoolError, match=words):
        SpoolDirectory(Path("/proc/x"), TARGET, is_durable=False).prepare()


@pytest.mark.parametrize("mode", [0o1777, 0o3775, 0o755])
def test_a_shared_directory_will_do(directory, mode):
    """Where others may write but not move away what is ours, as in /tmp, only the target's directory is ours alone."""
    directory.mkdir()
    directory.chmod(mode)
    spool = made(directory)
    assert spool.append([event(1)]) == 1
    spool.seal()
    assert drained(spool) == [event(1)]


@pytest.mark.parametrize("mode", [0o1777, 0o3775])
def test_a_volume_that_belongs_to_root_will_do(tmp_path, mode):
    """Its sticky bit keeps others from moving away what an application with another user makes there."""
    program = """
import os, sys
from pathlib import Path
from tests.spools import drained, event, made
os.setgroups([])
os.setgid(12345)
os.setuid(12345)
spool = made(Path(sys.argv[1]))
print(spool.append([event(1)]), spool.problem)
spool.seal()
print(drained(spool) == [event(1)])
"""
    for parent in tmp_path.parents[:-1][:3]:
        parent.chmod(parent.stat().st_mode | 0o711)
    tmp_path.chmod(mode)
    as_root(lambda: os.chown(tmp_path, 0, 12345))
    assert run(program, tmp_path).splitlines() == ["1 None", "True"]


def test_a_directory_that_was_mended_is_used(directory):
    """The next line after chmod is kept, and the problem is gone."""
    directory.mkdir()
    directory.chmod(0o770)
    spool = made(directory)
    assert spool.append([event(1)]) == 0
    directory.chmod(0o700)
    assert spool.append([event(1)]) == 1
    assert spool.problem is None


def test_nothing_is_replayed_from_where_others_write(directory, caplog):
    """Lines that somebody else could have put there do not become rows."""
    path = leave(directory, events(2))
    path.parent.chmod(0o777)
    spool = made(directory)
    assert spool.take(10, 1000) is None
    assert any("others may write into the directory" in w for w in warnings(caplog))
    path.parent.chmod(0o700)
    assert drained(spool) == events(2)


# Segments of others


def test_segments_of_the_dead_are_replayed_oldest_first(directory):
    """Not the name decides but the time in the header."""
    for n, writer in enumerate("cab"):
        leave(directory, [event(n)], writer)
    spool = made(directory, "w0")
    spool.append([event(3)])
    spool.seal()
    leave(directory, [event(4)], "aa")
    assert drained(spool) == events(5)


def test_a_segment_that_just_begins_is_not_taken_for_an_old_one(directory, monkeypatch):
    """Found without a header, and sealed until it is opened, it comes after those that were there before."""
    spool = made(directory)
    for n in range(3):
        spool.append([event(n)])
        spool.seal()
    last, started = segments(directory)[-1], replay.started
    monkeypatch.setattr(replay, "started", lambda path: None if path == last else started(path))
    assert drained(spool) == events(3)


def test_a_living_writer_keeps_its_segments(directory):
    """Neither its current nor its closed segments are taken by another."""
    alive, other = made(directory, "w1"), made(directory, "w2")
    alive.append([event(1)])
    alive.seal()
    alive.append([event(2)])
    assert other.take(10, 1000) is None
    assert drained(alive) == [event(1)]


def test_a_segment_under_replay_is_left_alone(directory):
    """What one has taken, no other takes."""
    leave(directory, events(2))
    first, second = made(directory, "w1"), made(directory, "w2")
    taken = first.take(1, 1000)
    assert second.take(10, 1000) is None
    first.acknowledge(taken)
    assert second.take(10, 1000) is None
    first.close()
    assert drained(second) == events(2)


def test_a_killed_writer_loses_nothing(directory):
    """After SIGKILL every line that append() counted comes back."""
    program = """
import sys
from pathlib import Path
from tests.spools import event, made
spool = made(Path(sys.argv[1]), "killed")
for n in range(1_000_000):
    print(spool.append([event(n)]), flush=True)
"""
    with start(program, directory) as process:
        for _ in range(50):
            assert process.stdout.readline() == "1\n"
        assert made(directory).take(10, 1000) is None
        process.kill()
        kept = 50 + process.stdout.read().count("1\n")
    lines = drained(made(directory))
    assert kept <= len(lines) <= kept + 1
    assert lines == events(len(lines))


def test_eight_replayers_take_each_segment_once(directory):
    """Eight processes that replay at once yield every line once."""
    program = """
import sys
from pathlib import Path
from tests.spools import drained, made
spool = made(Path(sys.argv[1]), "r" + sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
print(*drained(spool, 3), sep="\\n")
"""
    spool = made(directory)
    lines = events(600)
    for n in range(0, 600, 10):
        spool.append(lines[n : n + 10])
        spool.seal()
    spool.close()
    processes = [start(program, directory, n) for n in range(8)]
    assert [process.stdout.readline() for process in processes] == ["ready\n"] * 8
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    output = [process.communicate(timeout=60)[0].split("\n") for process in processes]
    assert sorted(line for lines in output for line in lines if line) == sorted(lines)
    assert segments(directory) == []


def test_a_forked_child_starts_anew(directory):
    """It neither keeps the parent's segments locked nor removes them, and writes to its own."""
    leave(directory, [event(0)])
    spool = made(directory, "parent")
    spool.append([event(1)])
    spool.seal()
    spool.append([event(2)])
    assert spool.take(1, 1000).lines == (event(0),)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            spool.abandon("child")
            os._exit(spool.append([event(3)]) if os.write(writing, b".") and signal.pause() is None else 2)
        finally:
            os._exit(3)
    try:
        assert os.read(reading, 1) == b"."
        assert len(segments(directory)) == 3
        assert made(directory, "other").take(1, 1000) is None
        spool.close()
        assert drained(made(directory, "other")) == events(3)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reading)
        os.close(writing)


def test_a_child_keeps_lines_of_its_own(directory):
    """Parent and child write to two files, and both come back."""
    spool = made(directory, "parent")
    spool.append([event(1)])
    child = os.fork()
    if not child:
        try:
            spool.abandon("child")
            os._exit(10 + spool.append([event(2)]))
        finally:
            os._exit(3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 11
    assert spool.append([event(3)]) == 1
    spool.close()
    assert sorted(drained(spool)) == events(4)[1:]


def test_only_some_closed_segments_are_held(directory, monkeypatch):
    """Of many the oldest are let go, for any process to replay: descriptors are few."""
    monkeypatch.setattr(closed_segments, "MAX_HELD", 2)
    spool, other = made(directory, "w1"), made(directory, "w2")
    for n in range(5):
        spool.append([event(n)])
        spool.seal()
    assert len(list(spool._writer.descriptors())) == 2
    assert drained(other) == events(3)
    assert drained(spool) == events(5)[3:]


def mounts(path, kind):
    return f"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n30 22 0:40 / {path} rw,relatime shared:3 - {kind} server:/x rw\n"


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "smb3", "fuse.sshfs", "virtiofs"])
def test_a_shared_file_system_is_replayed_by_its_writer_alone(directory, tmp_path, monkeypatch, caplog, kind):
    """Where a lock may say nothing about other machines, only our own segments are taken, and what to do is told."""
    monkeypatch.setattr(spool_directory, "_MOUNTS", tmp_path / "mountinfo")
    spool_directory._MOUNTS.write_text(mounts(tmp_path, kind))
    leave(directory, [event(1)])
    spool = made(directory)
    spool.append([event(2)])
    spool.seal()
    assert drained(spool) == [event(2)]
    assert [w for w in warnings(caplog) if "has 1 segment(s) of other writers" in w and "on a local disk" in w]
    spool_directory._MOUNTS.write_text(mounts(tmp_path, "ext4"))
    assert drained(spool) == [event(1)]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/srv/nothing", "ext4"),
        ("/mnt", "tmpfs"),
        ("/mnt/x", "tmpfs"),
        ("/mntx", "ext4"),
        ("/mnt/a b/c", "nfs"),
        ("/over/x", "xfs"),
    ],
)
def test_the_file_system_of_a_path(path, kind):
    """The innermost mount decides, of several on one point the last, and blanks are octal."""
    lines = [
        "1 0 8:1 / / rw - ext4 /dev/sda1 rw",
        "2 1 0:2 / /mnt rw shared:1 master:2 - tmpfs none rw",
        r"3 2 0:3 / /mnt/a\040b rw - nfs server:/a\040b rw",
        "4 1 0:4 / /over rw - nfs server:/over rw",
        "5 1 0:5 / /over rw - xfs /dev/sdb rw",
    ]
    assert spool_directory.file_system(path, "\n".join(lines)) == kind


# Segments that are damaged


def test_a_torn_last_line_is_told_as_such(directory):
    """The lines before it are good, and its bytes come along."""
    path = leave(directory, events(3))
    data = path.read_bytes()
    path.write_bytes(data[:-5])
    spool = made(directory)
    (good, torn) = batches(spool)
    assert good.lines == tuple(events(2))
    assert torn.bad == (BadLine(event(2).encode()[:-4], "unfinished last line", is_torn=True),)
    assert segments(directory) == []


def test_a_last_line_without_its_end_is_good(directory):
    """Where nothing but the newline is missing, the event is whole."""
    path = leave(directory, events(2))
    os.truncate(path, path.stat().st_size - 1)
    assert drained(made(directory)) == events(2)


@pytest.mark.parametrize(
    "garbage", [b"\0" * 100, b"\xff\xfe", b"", b"[1]", b'"x"', b"{", b"[" * 100_000, b'{"a":\xff}']
)
def test_a_bad_line_in_the_middle_is_set_aside(directory, garbage):
    """The lines around it are good."""
    path = leave(directory, events(2))
    header, first, second, _ = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([header, first, garbage, second, b""]))
    (taken,) = batches(made(directory))
    assert taken.lines == tuple(events(2))
    assert taken.bad == (BadLine(garbage, "no JSON object"),)


@pytest.mark.parametrize("end", [b"\n", b""])
def test_an_endless_line_is_passed_over(directory, monkeypatch, end):
    """What is longer than any line of ours is never held in memory as a whole."""
    monkeypatch.setattr(segment_reader, "MAX_LINE", 1_000_000)
    path = leave(directory, [event(0)])
    with path.open("ab") as file:
        file.write(b"\0" * 5_000_000 + end + (event(1).encode() + b"\n" if end else b""))
    spool = made(directory)
    (first, endless, *last) = batches(spool)
    assert first.lines == (event(0),)
    assert [line.reason for line in endless.bad] == ["longer than 1000000 bytes; the rest is left out"]
    assert len(endless.bad[0].raw) < 100_000
    assert [taken.lines for taken in last] == ([(event(1),)] if end else [])
    assert segments(directory) == []


@pytest.mark.parametrize("size", [0, "header"])
def test_a_segment_without_lines_is_removed(directory, size):
    """A writer that died before its first line leaves nothing to look into."""
    path = leave(directory, [event(1)])
    os.truncate(path, 0 if size == 0 else path.read_bytes().index(b"\n") + 1)
    assert made(directory).take(10, 1000) is None
    assert segments(directory) == []


HEADERS = {
    b"": "does not begin like a segment",
    b"[]": "does not begin like a segment",
    b'{"pglog_audit": 1}': "does not begin like a segment",
    b'{"pglog_audit": 1, "target": "x", "writer": "w", "started": "soon"}': "does not begin like a segment",
    b"\xff" * 100_000: "does not begin like a segment",
    b'{"pglog_audit": 1, "target": "other", "writer": "w", "started": "2026-01-01T00:00:00+00:00"}': "is for other",
    b'{"pglog_audit": 2, "target": "x", "writer": "w", "started": "2026-01-01T00:00:00+00:00"}': "is of version 2",
}


@pytest.mark.parametrize(("header", "words"), HEADERS.items(), ids=range(len(HEADERS)))
def test_a_segment_that_is_not_for_us_is_left(directory, caplog, header, words):
    """It is told once, stays as it is, and holds up no other."""
    path = leave(directory, [event(1)])
    data = header + b"\n" + event(1).encode() + b"\n"
    path.write_bytes(data)
    leave(directory, [event(2)], "dead2")
    spool = made(directory)
    assert drained(spool) == [event(2)]
    assert spool.take(10, 1000) is None
    assert path.read_bytes() == data
    assert [w for w in warnings(caplog) if f"{path} {words}" in w]


def test_a_segment_that_cannot_be_removed_is_not_replayed_for_ever(directory, caplog, monkeypatch):
    """On a disk that turned read-only it is told, and the next ones are taken."""
    path = leave(directory, [event(1)])
    leave(directory, [event(2)], "dead2")
    unlink = os.unlink

    def refuse(name, **options):
        if name == path:
            raise OSError(30, "Read-only file system")
        unlink(name, **options)

    monkeypatch.setattr(os, "unlink", refuse)
    assert drained(made(directory)) == events(3)[1:]
    assert segments(directory) == [path]
    assert any(f"{path} is replayed and cannot be removed" in w for w in warnings(caplog))


def test_other_files_are_left_alone(directory):
    """Links and directories with the name of a segment, and files with another one, are nothing to us."""
    path = leave(directory, [event(1)])
    (path.parent / "link.000001.spool").symlink_to(path)
    (path.parent / "folder.000001.spool").mkdir()
    (path.parent / "notes.txt").write_text("x")
    assert drained(made(directory)) == [event(1)]
    assert len(list(path.parent.iterdir())) == 3


# Room


def test_the_quota_holds(directory):
    """Lines are kept in order until the first that finds no room, and the directory is never larger."""
    spool = made(directory, max_bytes=2000)
    assert 5 < (kept := spool.append(events(100))) < 100
    assert spool.append([event(kept, size=100)]) == 0
    assert re.search(r"is full: it has \d+ of 2000 bytes", spool.problem)
    assert spool.status().bytes <= 2000
    spool.seal()
    assert drained(spool) == events(kept)


def test_replayed_lines_make_room(directory):
    """When a segment is removed, the next line is kept."""
    spool = made(directory, max_bytes=2000)
    kept = spool.append(events(100))
    spool.seal()
    assert spool.append([event(kept, size=100)]) == 0
    assert drained(spool) == events(kept)
    assert spool.append([event(kept)]) == 1
    assert spool.problem is None


def test_the_quota_is_everybodys(directory):
    """What others wrote counts, and what they remove makes room."""
    other = leave(directory, events(20))
    spool = made(directory, max_bytes=other.stat().st_size + 100)
    assert spool.append([event(1)]) == 0
    other.unlink()
    assert wait_until(lambda: spool.append([event(1)])) == 1


def test_rejects_count(directory):
    """Rejects take room, and without room a line is not rejected but told."""
    spool = made(directory, max_bytes=1000)
    assert spool.reject("x" * 500, "22P02", "invalid input") is True
    assert spool.append([event(1, size=400)]) == 0
    assert spool.reject("x" * 500, "22P02", "invalid input") is False
    assert "is full" in spool.problem


def test_rejects_say_why(directory):
    """Each is one JSON object, from which the line comes back exactly."""
    spool = made(directory)
    spool.reject(event(1), "22P02", "invalid input syntax for type uuid")
    spool.reject(b"\xff\0{", None, "no JSON object")
    (path,) = directory.glob("*/*.rejects")
    assert json.loads(path.read_text("ascii").splitlines()[0]).keys() == {"time", "sqlstate", "reason", "line"}
    first, second = read_rejects(path.parent)
    assert (first.line, first.sqlstate, first.reason) == (event(1), "22P02", "invalid input syntax for type uuid")
    assert abs(datetime.now(UTC) - first.time) < timedelta(minutes=1)
    assert second.line.encode("utf-8", "surrogateescape") == b"\xff\0{"
    assert second.sqlstate is None


@pytest.mark.parametrize("damaged", [b"{", b"[]", b"\xff", b"7", b'{"time":"soon"}', b"[" * 100_000])
def test_a_damaged_reject_is_told_as_such(directory, damaged):
    """Those around it are read, and its bytes come along."""
    spool = made(directory)
    spool.reject(event(1), "22P02", "invalid input")
    (path,) = directory.glob("*/*.rejects")
    path.write_bytes(path.read_bytes() + damaged + b"\n" + path.read_bytes())
    before, between, after = read_rejects(path.parent)
    assert before == after
    assert (between.time, between.sqlstate, between.reason) == (None, None, "damaged among the rejects")
    assert between.line.encode("utf-8", "surrogateescape") == damaged


def test_there_are_no_rejects(directory):
    """A target of which nothing was rejected has none, whether or not its directory is there."""
    assert list(read_rejects(directory)) == []


def test_rejects_are_durable_before_their_segment_goes(directory, monkeypatch):
    """A line that is in the rejects alone is not lost with the power."""
    leave(directory, [event(1)])
    spool = made(directory, fsync="rotate")
    taken = spool.take(10, 1000)
    spool.reject(taken.lines[0], "22P02", "invalid input")
    calls = record_calls(monkeypatch)
    spool.acknowledge(taken)
    assert calls == ["fsync w1.rejects", "unlink dead.000001.spool", "fsync directory"]


def test_rejects_that_were_moved_away_hold_up_nothing(directory, caplog):
    """Whoever looked into them before their segment is done has what he wanted, and the segment is removed."""
    leave(directory, [event(1)])
    spool = made(directory, fsync="rotate")
    taken = spool.take(10, 1000)
    spool.reject(taken.lines[0], "22P02", "invalid input")
    (path,) = directory.glob("*/*.rejects")
    path.rename(directory / "looked-into")
    spool.acknowledge(taken)
    assert segments(directory) == []
    assert not warnings(caplog)


def test_what_others_wrote_meanwhile_does_not_count_below_zero(directory):
    """Replaying a segment that we had not measured makes no room that is not there."""
    spool = made(directory)
    spool.prepare()
    leave(directory, events(100))
    assert len(drained(spool)) == 100
    assert spool.used == 0


def test_many_writers_share_the_quota(directory, monkeypatch):
    """What others write is noticed also while no segment is full, so that together they have no more."""
    monkeypatch.setattr(quota, "MAX_AGE", -1)
    spools = [made(directory, f"w{n}", max_bytes=5000) for n in range(5)]
    kept = sum(spool.append([event(n)]) for n in range(100) for spool in spools)
    assert 20 < kept < 100
    assert 4500 < spools[0].status().bytes <= 5000


def test_a_quota_that_cannot_be_measured_costs_no_line(directory, monkeypatch):
    """A process without a free descriptor keeps lines in its open segment."""
    monkeypatch.setattr(quota, "MAX_AGE", -1)
    spool = made(directory)
    spool.append([event(1)])

    def refuse(*_):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "scandir", refuse)
    assert spool.append([event(2)]) == 1


def test_what_is_there_before_the_first_line_is_known(directory):
    """Once the directory is prepared, stats tell what dead writers left."""
    path = leave(directory, events(3))
    spool = made(directory)
    spool.prepare()
    assert spool.used == path.stat().st_size


# fsync


def record_calls(monkeypatch):
    """Return the list that calls of fsync and unlink are going to be noted in."""
    calls = []
    fsync, unlink = os.fsync, os.unlink

    def name(descriptor):
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        return "directory" if os.path.isdir(path) else os.path.basename(path)

    def noted_fsync(descriptor):
        calls.append(f"fsync {name(descriptor)}")
        fsync(descriptor)

    def noted_unlink(path, **options):
        calls.append(f"unlink {os.path.basename(path)}")
        unlink(path, **options)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "unlink", noted_unlink)
    return calls


linux = pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="descriptors are named in /proc")
DURABLE = {
    "never": [],
    "rotate": ["fsync w1.000001.spool", "fsync directory"],
    "always": ["fsync directory", "fsync w1.000001.spool", "fsync w1.000001.spool", "fsync w1.000001.spool"],
}


@linux
@pytest.mark.parametrize(("fsync", "expected"), DURABLE.items())
def test_when_lines_are_made_durable(directory, monkeypatch, fsync, expected):
    """Never, when the segment is closed, or with each append."""
    calls = record_calls(monkeypatch)
    spool = made(directory, fsync=fsync)
    spool.append([event(1)])
    spool.append([event(2)])
    spool.seal()
    assert calls == expected


def fail_fsync(monkeypatch, *turns):
    """Let those calls of fsync fail whose number is in *turns*, and return the files that were asked for."""
    asked = []
    fsync = os.fsync

    def failing(descriptor):
        asked.append(os.fstat(descriptor).st_ino)
        if len(asked) in turns:
            raise OSError(5, "Input/output error")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    return asked


@pytest.mark.parametrize("fsync", ["rotate", "always"])
def test_after_a_failed_fsync_lines_are_written_anew(directory, monkeypatch, caplog, fsync):
    """What was not durable goes to another file, nothing comes twice, and the first file is never asked again."""
    spool = made(directory, fsync=fsync)
    spool.append([event(0)])
    asked = fail_fsync(monkeypatch, 1)
    assert spool.append([event(1)]) == 1
    spool.seal()
    assert spool.problem is None
    assert asked.count(asked[0]) == 1
    assert sorted(drained(spool)) == events(2)
    assert any("could not be made durable: Input/output error" in w for w in warnings(caplog))


def test_a_disk_that_fails_twice_keeps_nothing_for_certain(directory, monkeypatch):
    """With fsync="always" a line is not counted, does not come back, and is kept by a later call."""
    spool = made(directory, fsync="always")
    spool.append([event(0)])
    fail_fsync(monkeypatch, 1, 3)
    assert spool.append([event(1)]) == 0
    assert "Input/output error" in spool.problem
    assert spool.append([event(1)]) == 1
    spool.seal()
    assert drained(spool) == events(2)


def test_a_disk_that_fails_twice_at_rotation_loses_nothing_in_memory(directory, monkeypatch):
    """The segment is closed all the same, and its lines come back once."""
    spool = made(directory, fsync="rotate")
    spool.append(events(2))
    fail_fsync(monkeypatch, 1, 3)
    spool.seal()
    assert "Input/output error" in spool.problem
    assert drained(spool) == events(2)


# Signals and threads


@pytest.fixture
def on_signal():
    """Return a function that sets the handler of SIGUSR1."""
    before = signal.getsignal(signal.SIGUSR1)
    yield lambda handler: signal.signal(signal.SIGUSR1, handler)
    signal.signal(signal.SIGUSR1, before)


def interrupt_writing(monkeypatch):
    """Send us SIGUSR1 after the next write."""
    write = os.write

    def interrupted(descriptor, data):
        monkeypatch.setattr(os, "write", write)
        written = write(descriptor, data)
        signal.raise_signal(signal.SIGUSR1)
        return written

    monkeypatch.setattr(os, "write", interrupted)


def test_a_signal_handler_that_appends_keeps_nothing(directory, monkeypatch, on_signal):
    """In the middle of an append it gets 0 and a reason; the append itself goes on."""
    spool = made(directory)
    spool.append([event(0)])
    seen = []
    on_signal(lambda *_: seen.append((spool.append([event(9)]), spool.problem)))
    interrupt_writing(monkeypatch)
    assert spool.append([event(1)]) == 1
    assert seen == [(0, "a signal handler came in the middle of the spool's work")]
    spool.seal()
    assert drained(spool) == events(2)


def test_a_signal_handler_that_raises_costs_no_other_line(directory, monkeypatch, on_signal):
    """The line that it interrupted may come back, and those around it do."""
    spool = made(directory)
    spool.append([event(0)])

    def stop(*_):
        raise KeyboardInterrupt

    on_signal(stop)
    interrupt_writing(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        spool.append([event(1)])
    assert spool.append([event(2)]) == 1
    spool.seal()
    assert drained(spool) == events(3)


def test_one_thread_appends_while_another_replays(directory, monkeypatch):
    """Every line comes back once, in order."""
    monkeypatch.setattr(segment_writer, "SEGMENT_BYTES", 2000)
    spool = made(directory)
    lines, back = events(3000), []

    def take_all():
        while len(back) < len(lines):
            back.extend(drained(spool, max_lines=7))

    thread = threading.Thread(target=take_all)
    thread.start()
    for n in range(0, len(lines), 3):
        assert spool.append(lines[n : n + 3]) == 3
    spool.seal()
    thread.join(60)
    assert back == lines
    assert spool.status().bytes == spool._quota.used == 0


# What is there


def test_status(directory):
    """It counts what all writers left, with the oldest segment's time, and lines if asked."""
    leave(directory, events(3))
    unreadable = leave(directory, [event(3)], "dead2")
    unreadable.write_bytes(b"x\n")
    spool = made(directory)
    spool.append(events(2))
    spool.reject("x", None, "y")
    spool.reject("x", None, "y")
    status = spool.status(count_lines=True)
    assert (status.target, status.segments, status.lines, status.rejects) == (TARGET, 3, 5, 2)
    assert status.bytes == sum(path.stat().st_size for path in directory.glob("*/*"))
    assert status.oldest < spool._writer._current.header.started
    assert [str(unreadable) in words for words in status.unreadable] == [True]
    assert spool.status().lines is None


def test_status_of_a_directory_without_a_writer(directory):
    """Each target in it is told, and nothing is changed."""
    leave(directory, events(3))
    other = Spool(directory, "other", "w1", fsync="never")
    other.append([event(1)])
    before = sorted(directory.rglob("*"))
    assert {status.target: status.segments for status in read_statuses(directory)} == {TARGET: 1, "other": 1}
    assert sorted(directory.rglob("*")) == before


def test_status_of_no_directory(directory):
    """A directory that is not there is an error that names it."""
    with pytest.raises(SpoolError, match=f"{directory} is not to be read"):
        read_statuses(directory)


def test_a_backlog_is_streamed(directory):
    """Lines of 200 MB are replayed in a process that may not have 100 MB more."""
    program = """
import resource, sys
from pathlib import Path
from tests.spools import batches, made
used = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_DATA, (used + 100_000_000, -1))
print(sum(len(taken.lines) for taken in batches(made(Path(sys.argv[1])), 1000, 4_000_000)))
"""
    path = leave(directory, [event(0)])
    block = b"".join(event(n, size=2000).encode() + b"\n" for n in range(1000))
    with path.open("ab") as file:
        for _ in range(100):
            file.write(block)
    assert path.stat().st_size > 200_000_000
    assert run(program, directory) == "100001\n"
