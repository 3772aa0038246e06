"""Whatever happens to segments, and whoever dies when, each good line comes back."""

import os
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count, pairwise
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pglog_audit import PostgresHandler, lines
from pglog_audit.spool import Spool, closed_segments, segment_writer
from tests.properties.strategies import plain_json, plain_text
from tests.spools import drained, event, leave, made, segments

LINES = st.lists(st.dictionaries(plain_text, plain_json, max_size=4).map(lines.render), min_size=1, max_size=8)


@pytest.fixture(autouse=True)
def short_segments(monkeypatch):
    """Begin a new segment after a few lines."""
    monkeypatch.setattr(segment_writer, "SEGMENT_BYTES", 600)
    monkeypatch.setattr(closed_segments, "MAX_HELD", 2)


@pytest.fixture
def directory():
    """Return a function that makes a directory for one example, because a test's own is for all of them."""
    with ExitStack() as stack:
        yield lambda: Path(stack.enter_context(tempfile.TemporaryDirectory())) / "spool"


@given(st.lists(LINES, max_size=6), st.integers(1, 9), st.integers(1, 500), st.sampled_from(["never", "rotate"]))
def test_every_line_comes_back_exactly(directory, batches, max_lines, max_bytes, fsync):
    """However lines are appended and taken, they come back in order, and no file stays."""
    path = directory()
    spool = made(path, fsync=fsync)
    assert [spool.append(batch) for batch in batches] == list(map(len, batches))
    spool.seal()
    back = []
    while taken := spool.take(max_lines, max_bytes):
        assert len(taken.lines) <= max_lines
        back += taken.lines
        spool.acknowledge(taken)
    assert back == [line for batch in batches for line in batch]
    assert segments(path) == []


def places(data):
    """Return for each line of a segment where it begins and ends, its newline included, but not for the header."""
    ends = [n + 1 for n, byte in enumerate(data) if byte == ord("\n")]
    return list(pairwise(ends))


def leave_one(path, lines):
    """Leave *lines* in a single segment, however long they are."""
    with mock.patch.object(segment_writer, "SEGMENT_BYTES", 1_000_000):
        return leave(path, lines)


@given(LINES, st.data())
@settings(max_examples=100)
def test_any_cut(directory, lines, data):
    """Of a segment that ends anywhere, the lines before that are good, and at most one is torn."""
    path = directory()
    segment = leave_one(path, lines)
    whole = segment.read_bytes()
    begin = places(whole)[0][0]
    cut = data.draw(st.integers(begin, len(whole)))
    os.truncate(segment, cut)
    # A line is whole without its newline.
    assert drained(made(path)) == [line for line, (_, end) in zip(lines, places(whole), strict=True) if end - 1 <= cut]
    assert segments(path) == []


@given(LINES, st.data())
@settings(max_examples=200)
def test_any_garbage_in_the_middle(directory, lines, data):
    """Lines that the garbage does not touch come back in order, whatever it is and wherever it stands."""
    path = directory()
    segment = leave_one(path, lines)
    whole = segment.read_bytes()
    begin = places(whole)[0][0]
    first = data.draw(st.integers(begin, len(whole)))
    last = data.draw(st.integers(first, len(whole)))
    garbage = data.draw(st.binary(max_size=50))
    segment.write_bytes(whole[:first] + garbage + whole[last:])
    # A line without its newline is touched, and one that the garbage stands before.
    untouched = [line for line, (start, end) in zip(lines, places(whole), strict=True) if end <= first or start > last]
    back = iter(drained(made(path)))
    assert all(line in back for line in untouched)
    assert segments(path) == []


class Crash(BaseException):
    """The process ends here."""


CALLS = ("open", "mkdir", "write", "fsync", "ftruncate", "unlink", "lstat", "fstat", "pread")


@dataclass
class Fault:
    """What happens at one of the next system calls: an error, or the end of the process before or after it."""

    turn: int
    kind: str

    def patched(self):
        """Let it happen inside."""
        turns = count(1)
        stack = ExitStack()
        for name in CALLS:
            stack.enter_context(mock.patch.object(os, name, self._failing(getattr(os, name), turns)))
        return stack

    def _failing(self, call, turns):
        def failing(*args, **kwargs):
            is_now = next(turns) == self.turn
            if is_now and self.kind == "error":
                raise OSError(5, "Input/output error")
            if is_now and self.kind == "short" and call.__name__ == "write":
                return call(args[0], args[1][: len(args[1]) // 2])
            if is_now and self.kind == "before":
                raise Crash
            result = call(*args, **kwargs)
            if is_now and self.kind == "after":
                raise Crash
            return result

        return failing


@dataclass
class Process:
    """One that has a spool; when it dies another one takes its place."""

    directory: Path
    names: "count[int]"
    fsync: str
    reading: Path | None = None
    taken: list = field(default_factory=list)
    acknowledged: list = field(default_factory=list)
    memory: list = field(default_factory=list)
    """What the journal may have: lines that are no rows, whether they were recorded, and under which number."""
    last = settled = 0
    """The numbers of the last line, and of the last one that left the memory."""

    def __post_init__(self):
        self.begin()

    def begin(self):
        """Start with a spool that was not used yet."""
        self.spool = Spool(self.directory, "target", f"w{next(self.names)}", fsync=self.fsync)
        self.reading, self.taken, self.acknowledged, self.memory = None, [], [], []

    def own_descriptors(self):
        """Return what is open in the directory now."""
        root = str(self.directory)
        for name in os.listdir("/proc/self/fd"):
            try:
                path = os.readlink(f"/proc/self/fd/{name}")
            except FileNotFoundError:
                continue
            if path.startswith(root):
                yield int(name)

    def crash(self, others):
        """Die: all that this process had open is closed, and nothing else is done."""
        kept = set(others)
        for descriptor in set(self.own_descriptors()) - kept:
            os.close(descriptor)
        self.begin()


class World:
    """Two processes on one directory, and what is known of the lines."""

    def __init__(self, directory, fsyncs):
        names = count(1)
        self.directory = directory
        self.processes = [Process(directory, names, fsync) for fsync in fsyncs]
        self.numbers = count(1)
        self.kept, self.gone = set(), set()
        """Lines that were counted as kept, and those that were acknowledged and whose segment was removed."""
        self.back = set()

    def run(self, steps):
        """Take all steps, then see what comes back."""
        for which, action, argument, fault in steps:
            self.step(self.processes[which], action, argument, fault)
        for process in self.processes:
            process.spool.close()
            process.reading = None
        self.take_rest()
        assert self.kept <= self.back | self.gone
        assert segments(self.directory) == []

    def step(self, process, action, argument, fault):
        """Take one step, which may be the last of its process."""
        (other,) = (each for each in self.processes if each is not process)
        held = [*other.spool._writer.descriptors(), *other.spool._replay.descriptors()]
        try:
            with fault.patched() if fault else ExitStack():
                getattr(self, action)(process, argument)
        except Crash:
            process.crash(held)

    def append(self, process, argument):
        """Append some lines."""
        batch = [event(next(self.numbers)) for _ in range(argument)]
        kept = process.spool.append(batch)
        assert (kept == len(batch)) is (process.spool.problem is None)
        self.kept.update(batch[:kept])

    def seal(self, process, argument):
        """Close the current segment."""
        process.spool.seal()

    def take(self, process, argument):
        """Take some lines."""
        taken = process.spool.take(argument, 300)
        if taken is None:
            return
        for other in self.processes:
            own = [*other.spool._writer.closed.recorded, *filter(None, [other.spool._writer._current])]
            assert all(each.path != taken.path for each in own), "a segment of a journal in use was given"
            assert other is process or other.reading != taken.path, "two have the same segment"
        assert self.gone.isdisjoint(taken.lines), "a line of a removed segment came back"
        process.reading = taken.path
        process.taken.append(taken)
        self.store(taken.lines)

    def store(self, lines):
        """Make rows of lines."""
        self.back.update(lines)

    def acknowledge(self, process, argument):
        """Acknowledge the first of what was taken."""
        if not process.taken:
            return
        taken = process.taken.pop(0)
        process.spool.acknowledge(taken)
        process.acknowledged.append(taken)
        if not taken.path.exists():
            self.gone.update(line for each in process.acknowledged if each.path == taken.path for line in each.lines)
            process.reading = None

    def rewind(self, process, argument):
        """Forget what was taken."""
        process.spool.rewind()
        process.taken = []

    def close(self, process, argument):
        """Let go of everything."""
        process.reading, process.taken = None, []
        process.spool.close()

    def die(self, process, argument):
        """End without a word."""
        raise Crash

    def take_rest(self):
        """Replay all that is left, in a process of its own."""
        rest = Spool(self.directory, "target", "last", fsync="never")
        lines = drained(rest)
        assert self.gone.isdisjoint(lines), "a line of a removed segment came back"
        self.store(lines)


ACTIONS = st.sampled_from("append append append seal take take acknowledge acknowledge rewind close die".split())
FAULTS = st.none() | st.builds(Fault, st.integers(1, 12), st.sampled_from(["before", "after", "error", "short"]))
STEPS = st.lists(st.tuples(st.integers(0, 1), ACTIONS, st.integers(1, 6), FAULTS), min_size=3, max_size=30)
FSYNC = st.sampled_from(["never", "rotate", "always"])


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="what a dead process had open is looked up in /proc")
@given(st.tuples(FSYNC, FSYNC), STEPS)
@settings(max_examples=300)
def test_any_order_of_crashes_and_errors(directory, fsyncs, steps):
    """No kept line is lost, none comes back after its segment is gone, and no two processes have one at once."""
    World(directory(), fsyncs).run(steps)


class JournalWorld(World):
    """Two processes that also record lines, and write from memory what the journal has too."""

    def acknowledge(self, process, argument):
        """Acknowledge the first of what was taken; its lines may be in another segment too, and come back."""
        if process.taken:
            process.spool.acknowledge(process.taken.pop(0))
            process.reading = None if not process.taken else process.reading

    def record(self, process, argument):
        """Record some lines."""
        for _ in range(argument):
            line = self.new_line()
            process.last += 1
            is_recorded = process.spool.record(line, process.last)
            if is_recorded:
                self.kept.add(line)
            process.memory.append((line, is_recorded, process.last))

    def new_line(self):
        """Return a line that there was not."""
        return event(next(self.numbers))

    def write(self, process, argument):
        """Make rows of the first lines in memory."""
        self.store([line for line, _, _ in process.memory[:argument]])
        self.drop(process, argument)

    def drop(self, process, count):
        """Drop the first lines from memory."""
        dropped, process.memory = process.memory[:count], process.memory[count:]
        process.settled = max([process.settled, *(number for _, _, number in dropped)])

    def forget(self, process, argument):
        """Drop from the journal what is not in memory any more."""
        process.spool.forget(process.settled)

    def keep(self, process, argument):
        """Leave the first lines in memory to the disk, and keep those there that it does not take."""
        hand = process.memory[:argument]
        if not hand:
            return
        are_there = process.spool.keep()
        others = [line for line, is_recorded, _ in hand if not (is_recorded and are_there)]
        kept = process.spool.append(others)
        self.kept.update(others[:kept])
        self.drop(process, argument)
        process.memory[:0] = [(line, False, 0) for line in others[kept:]]


JOURNAL_ACTIONS = st.sampled_from(
    "record record record record write write forget forget keep append seal take take acknowledge close die".split()
)
JOURNAL_STEPS = st.lists(
    st.tuples(st.integers(0, 1), JOURNAL_ACTIONS, st.integers(1, 6), FAULTS), min_size=5, max_size=40
)


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="what a dead process had open is looked up in /proc")
@given(st.tuples(FSYNC, FSYNC), JOURNAL_STEPS)
@settings(max_examples=400)
def test_a_journal_in_any_order_of_crashes_and_errors(directory, fsyncs, steps):
    """No recorded line is lost before it is a row, and none that a living process has is given to another."""
    JournalWorld(directory(), fsyncs).run(steps)


class StoringWorld(JournalWorld):
    """Two processes that write to a database."""

    def __init__(self, directory, fsyncs, handler):
        super().__init__(directory, fsyncs)
        self.handler = handler

    def new_line(self):
        """Return a line that there was not, as a writer would make it."""
        snapshot = f'{{"occurred_at":1772434267.0,"action":"ticket.open","metadata":{{"n":{next(self.numbers)}}}}}'
        return lines.headed(lines.numbered(snapshot, 1), "019cae1f-95b9-7d30-a1c4-6f0b6f6a3c51")

    def append(self, process, argument):
        """Append some lines."""
        batch = [self.new_line() for _ in range(argument)]
        self.kept.update(batch[: process.spool.append(batch)])

    def store(self, lines):
        """Make rows of lines."""
        written = self.handler.write(lines, others_fit=True)
        assert (written.left, written.refused) == ([], [])
        super().store(lines)


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="what a dead process had open is looked up in /proc")
@given(st.tuples(FSYNC, FSYNC), JOURNAL_STEPS)
@settings(max_examples=30)
def test_every_line_is_one_row(directory, database, fsyncs, steps):
    """However processes die between journal, table and disk, each line that was kept is stored, and once."""
    handler = PostgresHandler(database.writer)
    world = StoringWorld(directory(), fsyncs, handler)
    world.run(steps)
    handler.close()
    ids = [lines.parse(line)["id"] for line in world.back]
    rows = database.rows("SELECT id FROM audit_log WHERE id = ANY(%s::uuid[])", ids)
    assert sorted(str(row["id"]) for row in rows) == sorted(ids)
