"""The journal: lines that are on disk and in memory, until they are rows or nowhere else."""

import os
import signal
import threading

import pytest

from pglog_audit.spool import segment_writer
from tests.spools import drained, event, events, made, segments, start
from tests.support import warnings


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "spool"


@pytest.fixture
def short_segments(monkeypatch):
    """Begin a new segment after a few lines."""
    monkeypatch.setattr(segment_writer, "SEGMENT_BYTES", 500)


def record(spool, first, last):
    """Record the events *first* to *last*, each under its own number."""
    assert all(spool.record(event(n), n) for n in range(first, last + 1))


def content(directory):
    """Return the lines of all segments, without the headers."""
    return [line for path in segments(directory) for line in path.read_text().splitlines()[1:]]


def test_a_recorded_line_is_on_disk(directory):
    """It is in the file as soon as the call returns."""
    spool = made(directory)
    record(spool, 1, 2)
    assert content(directory) == [event(1), event(2)]
    assert spool.problem is None


def test_recorded_lines_are_not_replayed_by_their_process(directory, short_segments):
    """Neither the current segment nor full ones are given while their lines are in memory; a seal changes nothing."""
    spool = made(directory)
    record(spool, 1, 20)
    spool.seal()
    assert spool.take(10, 1000) is None
    assert made(directory, "w2").take(10, 1000) is None
    assert content(directory) == events(21)[1:]


def test_what_is_stored_is_forgotten(directory):
    """When all recorded lines are rows, the file is empty, and stays for the next ones."""
    spool = made(directory)
    record(spool, 1, 5)
    (path,) = segments(directory)
    spool.forget(5)
    assert content(directory) == []
    record(spool, 6, 7)
    assert segments(directory) == [path]
    assert content(directory) == [event(6), event(7)]


def test_a_line_that_is_no_row_yet_is_not_forgotten(directory):
    """A segment stays as it is until the last of its lines is a row."""
    spool = made(directory)
    record(spool, 1, 5)
    spool.forget(4)
    assert content(directory) == events(6)[1:]


def test_a_line_that_was_overtaken_is_not_forgotten(directory):
    """A signal handler's line gets a later number and an earlier place than the one it interrupted: both count."""
    spool = made(directory)
    record(spool, 1, 1)
    assert all(spool.record(event(n), n) for n in (3, 2))
    spool.forget(2)
    assert content(directory) == [event(1), event(3), event(2)]
    spool.forget(3)
    assert content(directory) == []


def test_full_segments_go_when_all_their_lines_are_rows(directory, short_segments):
    """The oldest first, and no other."""
    spool = made(directory)
    record(spool, 1, 20)
    before = segments(directory)
    number = before[0].read_text().count("\n") - 1
    spool.forget(number - 1)
    assert segments(directory) == before
    spool.forget(number)
    assert segments(directory) == before[1:]
    spool.forget(19)
    assert segments(directory) == before[-1:]
    spool.forget(20)
    assert content(directory) == []


def test_the_quota_is_told(directory, short_segments):
    """What is forgotten makes room, to the byte."""
    spool = made(directory)
    for number in range(1, 40):
        record(spool, number, number)
        if number % 7 == 0:
            spool.forget(number - 2)
        assert spool.used == spool.status().bytes
    spool.forget(39)
    spool.close()
    assert spool.used == spool.status().bytes == 0


def test_a_full_spool_takes_lines_again_when_some_are_rows(directory):
    """Without room a line is not kept and the problem told, until older ones are forgotten."""
    spool = made(directory, max_bytes=1000)
    kept = next(n for n in range(1, 100) if not spool.record(event(n), n))
    assert kept > 5
    assert "is full" in spool.problem
    spool.forget(kept - 1)
    record(spool, kept, kept)
    assert spool.problem is None


def test_kept_lines_are_replayed(directory, short_segments):
    """Those of full segments at once, the last ones when the segment is sealed, all in order and once."""
    spool = made(directory)
    record(spool, 1, 20)
    assert spool.keep() is True
    full = drained(spool)
    assert full == events(21)[1 : len(full) + 1]
    assert content(directory) == events(21)[len(full) + 1 :]
    spool.seal()
    assert full + drained(spool) == events(21)[1:]
    assert segments(directory) == []


def test_keeping_is_idempotent_and_does_not_close_the_segment(directory):
    """However often it is called, lines go on in the same file."""
    spool = made(directory)
    assert spool.keep() is True
    for number in range(1, 6):
        record(spool, number, number)
        assert spool.keep() is True
        assert spool.keep() is True
    assert len(segments(directory)) == 1
    spool.seal()
    assert drained(spool) == events(6)[1:]


def test_what_is_kept_is_not_forgotten(directory, short_segments):
    """Lines to be replayed stay on disk, sealed or not, though later ones are rows."""
    spool = made(directory)
    record(spool, 1, 8)
    spool.keep()
    record(spool, 9, 10)
    spool.forget(10)
    spool.seal()
    record(spool, 11, 12)
    spool.forget(12)
    assert sorted({*drained(spool)} & {*events(9)[1:]}, key=events(9).index) == events(9)[1:]


@pytest.mark.parametrize("gap", [1, 7])
def test_what_was_stored_before_an_outage_is_hardly_replayed(directory, gap):
    """Of a segment whose first lines are rows only those are given that came after, and at most two batches before."""
    spool = made(directory)
    for number in range(1, 101):
        record(spool, number, number)
        if number > gap:
            spool.forget(number - gap)
    spool.keep()
    spool.forget(100)
    record(spool, 101, 105)
    spool.forget(105)
    spool.seal()
    lines = drained(spool)
    first = 106 - len(lines)
    assert lines == events(106)[first:]
    assert 100 - 2 * gap <= first <= 101 - gap


def test_of_a_full_segment_only_the_rest_is_replayed(directory, short_segments):
    """What was forgotten of it before it was full, or later, is not given."""
    spool = made(directory)
    record(spool, 1, 2)
    spool.forget(0)
    record(spool, 3, 8)
    assert len(segments(directory)) > 1
    spool.forget(2)
    spool.keep()
    spool.seal()
    assert drained(spool) == events(9)[3:]


@pytest.mark.parametrize("forgotten", [50, 51, 53])
def test_a_journal_that_was_emptied_is_replayed_from_its_beginning(directory, forgotten):
    """What is known of lines that are gone says nothing of those that stand in their place."""
    spool = made(directory)
    for number in range(1, 51):
        record(spool, number, number)
        spool.forget(number - 1)
    spool.forget(50)
    record(spool, 51, 54)
    spool.forget(forgotten)
    record(spool, 55, 56)
    spool.keep()
    spool.seal()
    assert drained(spool)[forgotten - 56 :] == events(57)[forgotten + 1 :]


def test_lines_after_an_appended_one_are_replayed(directory):
    """Being rows they come back with it, rather than take it with them."""
    spool = made(directory)
    record(spool, 1, 3)
    spool.forget(2)
    spool.append(["{}"])
    record(spool, 4, 5)
    spool.forget(4)
    record(spool, 6, 6)
    spool.forget(6)
    spool.seal()
    assert drained(spool)[-4:] == ["{}", *events(7)[4:]]


def test_after_an_outage_nothing_more_is_replayed(directory):
    """Only segments with a line to be kept are; the journal goes on in a new one."""
    spool = made(directory)
    record(spool, 1, 3)
    spool.keep()
    spool.seal()
    record(spool, 4, 6)
    assert drained(spool) == events(4)[1:]
    spool.seal()
    assert spool.take(10, 1000) is None
    spool.forget(6)
    spool.close()
    assert segments(directory) == []


def test_an_appended_line_keeps_its_segment(directory):
    """A line that is nowhere else is not forgotten with the recorded ones around it."""
    spool = made(directory)
    record(spool, 1, 2)
    spool.append([event(3)])
    record(spool, 4, 5)
    spool.forget(5)
    spool.seal()
    assert event(3) in drained(spool)


def test_a_clean_end_leaves_no_file(directory, short_segments):
    """When all is forgotten, close() removes the last segment."""
    spool = made(directory)
    record(spool, 1, 20)
    spool.forget(20)
    spool.close()
    assert segments(directory) == []


def test_an_end_with_lines_in_memory_leaves_them(directory, short_segments):
    """What is not forgotten is there for whoever comes next."""
    spool = made(directory)
    record(spool, 1, 20)
    spool.forget(10)
    spool.close()
    assert set(events(21)[11:]) <= set(drained(made(directory, "w2")))


def test_sealing_an_empty_journal_keeps_its_file(directory):
    """Nothing is removed and made again whenever somebody looks for lines to replay."""
    spool = made(directory)
    record(spool, 1, 1)
    spool.forget(1)
    before = segments(directory)
    spool.seal()
    assert segments(directory) == before


def test_a_journal_without_lines_waits_for_nobody(directory):
    """Its file is no segment in the status, and what comes later has waited since then only."""
    spool = made(directory)
    record(spool, 1, 1)
    begun = spool.status().oldest
    spool.forget(1)
    status = spool.status(count_lines=True)
    assert (status.segments, status.lines, status.oldest, status.unreadable) == (0, 0, None, ())
    record(spool, 2, 2)
    status = spool.status(count_lines=True)
    assert (status.segments, status.lines) == (1, 1)
    assert status.oldest > begun


@pytest.mark.parametrize("call", ["ftruncate", "write"])
def test_a_journal_that_cannot_be_emptied(directory, monkeypatch, call):
    """The next line goes into another segment, and nothing is left that cannot be read."""
    spool = made(directory)
    record(spool, 1, 1)
    real = getattr(os, call)

    def failing(*_):
        monkeypatch.setattr(os, call, real)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, call, failing)
    spool.forget(1)
    assert "Input/output error" in spool.problem
    record(spool, 2, 2)
    spool.keep()
    spool.seal()
    assert drained(spool)[-1:] == [event(2)]
    assert segments(directory) == []
    assert spool.used == 0


# Files that are removed from under us


def test_a_journal_that_was_removed_is_begun_anew(directory, caplog):
    """It is noticed with the next batch of rows, and told; later lines are on disk again."""
    spool = made(directory)
    record(spool, 1, 2)
    segments(directory)[0].unlink()
    spool.forget(1)
    record(spool, 3, 3)
    assert content(directory) == [event(3)]
    assert any("was removed while it was in use" in w for w in warnings(caplog))


@pytest.mark.parametrize("which", ["current", "full"])
def test_lines_that_are_not_there_cannot_be_kept(directory, short_segments, which):
    """keep() says so until they are rows, so that who has them in memory appends them."""
    spool = made(directory)
    record(spool, 1, 2 if which == "current" else 20)
    segments(directory)[0].unlink()
    assert spool.keep() is False
    record(spool, 21, 22)
    assert spool.keep() is False
    spool.forget(20)
    assert spool.keep() is True
    spool.seal()
    assert event(22) in drained(spool)


# fsync, errors, signals


@pytest.mark.parametrize(("fsync", "expected"), [("never", 0), ("rotate", 0), ("always", 3)])
def test_when_recorded_lines_are_durable(directory, monkeypatch, fsync, expected):
    """With fsync="always" each is before its call returns; otherwise a call waits for no disk."""
    spool = made(directory, fsync=fsync)
    record(spool, 1, 1)
    calls = []
    monkeypatch.setattr(os, "fsync", calls.append)
    record(spool, 2, 4)
    assert len(calls) == expected


def synced(monkeypatch, during=lambda: None):
    """Return the list in which each fsync of a file is noted by its name, *during* which something may happen."""
    names, fsync = [], os.fsync

    def noted(descriptor):
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        if path.endswith(".spool"):
            names.append(os.path.basename(path))
            during()
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    return names


linux = pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="descriptors are named in /proc")


@linux
def test_a_log_call_waits_for_no_fsync(directory, monkeypatch, short_segments):
    """With fsync="rotate" whoever writes the rows makes a full segment durable: once, and only if it still counts."""
    names = synced(monkeypatch)
    spool = made(directory, fsync="rotate")
    record(spool, 1, 6)
    assert (names, len(segments(directory))) == ([], 2)
    full, _ = (path.name for path in segments(directory))
    spool.forget(1)
    assert names == [full]
    spool.forget(1)
    spool.forget(5)
    spool.keep()
    assert names == [full]


@linux
def test_only_one_full_segment_is_not_durable(directory, monkeypatch, short_segments):
    """While nobody writes rows, a call that fills a segment makes the one before durable."""
    names = synced(monkeypatch)
    spool = made(directory, fsync="rotate")
    record(spool, 1, 20)
    assert names == [path.name for path in segments(directory)][:-2]


@linux
def test_full_segments_that_are_rows_need_not_be_durable(directory, monkeypatch, short_segments):
    """They are removed without fsync."""
    names = synced(monkeypatch)
    spool = made(directory, fsync="rotate")
    for number in range(1, 40):
        record(spool, number, number)
        spool.forget(number)
    assert names == []


@linux
def test_what_is_left_at_the_end_is_durable(directory, monkeypatch, short_segments):
    """Closing syncs what is not forgotten, the last segment too."""
    names = synced(monkeypatch)
    spool = made(directory, fsync="rotate")
    record(spool, 1, 20)
    spool.close()
    assert names == [path.name for path in segments(directory)]


@linux
def test_kept_segments_are_durable(directory, monkeypatch, short_segments):
    """From then on their lines are nowhere else."""
    names = synced(monkeypatch)
    spool = made(directory, fsync="rotate")
    record(spool, 1, 6)
    spool.keep()
    spool.seal()
    assert names == [path.name for path in segments(directory)]


def test_a_spool_that_is_closed_while_a_disk_fails(directory, monkeypatch, short_segments):
    """Whoever makes a segment durable leaves it to whoever closes the spool at the end of the process."""
    spool = made(directory, fsync="rotate")
    record(spool, 1, 6)
    fsync = os.fsync

    def failing(_):
        monkeypatch.setattr(os, "fsync", fsync)
        spool.close()
        raise OSError(9, "Bad file descriptor")

    monkeypatch.setattr(os, "fsync", failing)
    spool.forget(0)
    assert drained(made(directory, "w2")) == events(7)[1:]


@linux
def test_others_record_while_a_segment_is_made_durable(directory, monkeypatch, short_segments):
    """A slow disk holds up no thread that logs."""
    recorded = []

    def record_in_another_thread():
        if not recorded:
            thread = threading.Thread(target=lambda: recorded.append(spool.record(event(7), 7)))
            thread.start()
            thread.join(10)
            assert recorded == [True]

    spool = made(directory, fsync="rotate")
    record(spool, 1, 6)
    names = synced(monkeypatch, record_in_another_thread)
    spool.forget(0)
    assert len(names) == 1
    assert content(directory) == events(8)[1:]


@pytest.mark.parametrize("turns", [(1,), (1, 2)])
def test_a_full_segment_that_cannot_be_made_durable(directory, monkeypatch, caplog, short_segments, turns):
    """Its lines are written anew, or stay if that fails too: on disk once, and still in the journal."""
    spool = made(directory, fsync="rotate")
    record(spool, 1, 20)
    fsync, calls = os.fsync, []

    def failing(descriptor):
        calls.append(os.fstat(descriptor).st_ino)
        if len(calls) in turns:
            raise OSError(5, "Input/output error")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    spool.forget(0)
    spool.forget(0)
    assert sorted(content(directory)) == sorted(events(21)[1:])
    assert calls.count(calls[0]) == 1
    assert any("could not be made durable: Input/output error" in w for w in warnings(caplog))
    assert spool.used == spool.status().bytes
    spool.seal()
    assert spool.take(10, 1000) is None
    spool.forget(20)
    spool.close()
    assert segments(directory) == []


def test_lines_that_are_in_doubt_are_kept(directory, monkeypatch, short_segments):
    """Where the disk does not tell whether they are there, keep() says no, but they come back all the same."""
    spool = made(directory)
    record(spool, 1, 20)
    lstat = os.lstat

    def failing(*_):
        monkeypatch.setattr(os, "lstat", lstat)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "lstat", failing)
    assert spool.keep() is False
    spool.forget(20)
    assert spool.keep() is True
    spool.seal()
    assert drained(spool) == events(21)[1:]


@pytest.mark.parametrize("fsync", ["rotate", "always"])
def test_after_a_failed_fsync_recorded_lines_are_written_anew(directory, monkeypatch, short_segments, fsync):
    """They are on disk once, still belong to the journal, and are forgotten like others."""
    spool = made(directory, fsync=fsync)
    record(spool, 1, 3)
    real, turns = os.fsync, iter([5])

    def failing(descriptor):
        if error := next(turns, None):
            raise OSError(error, "Input/output error")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    record(spool, 4, 12)
    spool.forget(0)
    assert sorted(content(directory)) == sorted(events(13)[1:])
    spool.seal()
    assert spool.take(10, 1000) is None
    spool.forget(12)
    spool.close()
    assert segments(directory) == []


def test_a_signal_handler_that_logs_is_told(directory, monkeypatch):
    """In the middle of a write its line is not recorded, and the interrupted one is."""
    spool = made(directory)
    record(spool, 1, 1)
    write, seen = os.write, []

    def interrupted(descriptor, data):
        monkeypatch.setattr(os, "write", write)
        seen.append(spool.record(event(9), 3))
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", interrupted)
    record(spool, 2, 2)
    assert seen == [False]
    assert content(directory) == [event(1), event(2)]


def test_a_call_that_a_signal_handler_ends_is_not_forgotten(directory, monkeypatch):
    """Its line may be whole on disk and has its number, so it comes back rather than leave a gap."""
    spool = made(directory)
    record(spool, 1, 1)
    write = os.write

    def interrupted(descriptor, data):
        monkeypatch.setattr(os, "write", write)
        write(descriptor, data)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        spool.record(event(2), 2)
    record(spool, 3, 3)
    spool.forget(3)
    assert event(2) in drained(spool)


# Other processes

RECORDS = """
import sys
from pathlib import Path
from pglog_audit.spool import segment_writer
from tests.spools import event, made
segment_writer.SEGMENT_BYTES = 1000
spool = made(Path(sys.argv[1]), "killed")
for n in range(1_000_000):
    print(spool.record(event(n), n), flush=True)
    if n == 30:
        spool.forget(20)
"""


def test_a_killed_process_loses_no_recorded_line(directory):
    """After SIGKILL every line that record() told was kept comes back, but for those that were rows."""
    with start(RECORDS, directory) as process:
        for _ in range(50):
            assert process.stdout.readline() == "True\n"
        assert made(directory).take(10, 1000) is None
        process.kill()
        kept = 50 + process.stdout.read().count("True\n")
    lines = drained(made(directory))
    last = kept if event(kept) in lines else kept - 1
    assert lines == events(last + 1)[-len(lines) :]
    assert 10 < kept - len(lines) <= 21


def test_a_forked_child_has_a_journal_of_its_own(directory, short_segments):
    """It neither forgets nor keeps locked what its parent recorded."""
    spool = made(directory, "parent")
    record(spool, 1, 10)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            spool.abandon("child")
            spool.forget(10)
            is_recorded = spool.record(event(11), 1)
            os.write(writing, b"1" if is_recorded else b"0")
            signal.pause()
        finally:
            os._exit(3)
    try:
        assert os.read(reading, 1) == b"1"
        assert sorted(content(directory)) == sorted(events(12)[1:])
        spool.close()
        assert drained(made(directory, "other")) == events(11)[1:]
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reading)
        os.close(writing)
    assert drained(made(directory, "third")) == [event(11)]
