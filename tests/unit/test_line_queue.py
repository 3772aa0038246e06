"""The queue between the threads that log and the thread that writes."""

import asyncio
import gc
import json
import logging
import queue
import signal
import threading
import time
import uuid

import pytest

from pglog_audit import AuditFormatter, lines
from pglog_audit.line_queue import LineQueue

SNAPSHOT = '{"a":1}'
WRITER = "019cae1f-95b9-7d30-a1c4-6f0b6f6a3c51"


def never():
    return False


def made(capacity=1000, max_bytes=1_000_000, journal=None):
    line_queue = LineQueue(queue.SimpleQueue(), capacity, max_bytes, journal)
    line_queue.is_attended = True
    return line_queue


def unfinished(label="", message="GET /?token=abc"):
    """Return a record that leaves the writer something to do."""
    event = {"action": "page.read", "user_label": label}
    return logging.makeLogRecord({"levelno": logging.INFO, "msg": message, "audit": event})


def put(line_queue, snapshot=SNAPSHOT, timeout=0, is_worth_waiting=never):
    """Put *snapshot*, by default without waiting, and tell whether there was room."""
    turned_away = line_queue.put(snapshot, timeout, is_worth_waiting)
    assert turned_away is None or turned_away.endswith(snapshot[1:])
    return turned_away is None


def taken(line_queue):
    """Take out everything and return the numbers, in order."""
    numbers = []
    while not line_queue.is_empty():
        snapshot = line_queue.take(line_queue.get(0.0), lambda record: None, "w")
        numbers += [] if snapshot is None else [json.loads(snapshot)["writer_seq"]]
    return numbers


@pytest.mark.parametrize("capacity", [1, 2, 7, 8, 9, 100])
def test_it_holds_its_capacity_in_lines(capacity):
    """Exactly as many lines as the option says find room."""
    line_queue = made(capacity)
    assert [put(line_queue) for _ in range(capacity + 2)] == [True] * capacity + [False] * 2


@pytest.mark.parametrize("snapshot", [SNAPSHOT, '{"a":"é€🔑"}'])
def test_it_holds_its_capacity_in_bytes(snapshot):
    """Exactly as many bytes of UTF-8 as the option says find room."""
    size = len(snapshot.encode())
    line_queue = made(max_bytes=5 * size)
    assert [put(line_queue, snapshot) for _ in range(6)] == [True] * 5 + [False]
    line_queue = made(max_bytes=5 * size - 1)
    assert [put(line_queue, snapshot) for _ in range(5)] == [True] * 4 + [False]


def test_a_line_larger_than_the_queue_is_refused_at_once():
    """A line for which there can never be room waits for none."""
    line_queue = made(max_bytes=3)
    asked = []
    assert not put(line_queue, SNAPSHOT, None, lambda: asked.append(1) or True)
    assert asked == []


def test_what_is_taken_makes_room():
    """Lines and bytes are free again when the writer has taken the line."""
    line_queue = made(capacity=3, max_bytes=3 * len(SNAPSHOT))
    for _ in range(4):
        assert [put(line_queue) for _ in range(4)] == [True] * 3 + [False]
        taken(line_queue)


def test_numbers_have_no_gaps():
    """Lines are numbered from one, in the order in which they are queued."""
    line_queue = made()
    for _ in range(100):
        put(line_queue)
    assert taken(line_queue) == list(range(1, 101))


def test_a_line_without_room_leaves_a_gap():
    """A line that found no room has used a number, so that the table shows its absence."""
    line_queue = made(capacity=2)
    assert [put(line_queue) for _ in range(4)] == [True, True, False, False]
    assert taken(line_queue) == [3, 4]
    put(line_queue)
    assert taken(line_queue) == [5]


def test_a_line_is_put_at_once_while_there_is_ample_room():
    """The quick way counts lines and bytes as the other does, and is closed from seven eighths on."""
    line_queue = made(capacity=8, max_bytes=1000)
    assert [line_queue.put_at_once(SNAPSHOT) for _ in range(8)] == [True] * 7 + [False]
    assert line_queue.submitted == line_queue.unsettled() == 7
    assert taken(line_queue) == list(range(1, 8))
    assert line_queue.put_at_once('{"a":"' + "x" * 865 + '"}')
    assert not line_queue.put_at_once(SNAPSHOT)


def test_a_line_counts_though_its_call_is_interrupted():
    """A signal handler that raises right after a line was queued leaves it there, and counted."""

    class Interrupted(queue.SimpleQueue):
        def put_nowait(self, item):
            super().put_nowait(item)
            raise KeyboardInterrupt

    line_queue = LineQueue(Interrupted(), 8, 1000)
    line_queue.is_attended = True
    with pytest.raises(KeyboardInterrupt):
        line_queue.put_at_once(SNAPSHOT)
    assert line_queue.submitted == line_queue.unsettled() == 1
    assert taken(line_queue) == [1]


class Journal:
    """A journal in memory."""

    def __init__(self):
        self.lock = threading.RLock()
        self.recorded = []

    def record(self, snapshot, seq, number):
        """Record *snapshot* as the backlog does."""
        self.recorded.append((snapshot, seq, number))
        return lines.RECORDED % (seq, snapshot) if isinstance(snapshot, bytes) else lines.whole(snapshot, seq, WRITER)


def test_a_journal_gets_each_line():
    """With a journal each line goes through it, numbered, also where there is ample room; a secret never does."""
    journal, formatter = Journal(), AuditFormatter()
    line_queue = made(journal=journal)
    plain = logging.makeLogRecord({"levelno": logging.INFO, "msg": "Read", "audit": {"action": "page.read"}})
    for snapshot in (SNAPSHOT, formatter.recordable(unfinished()), formatter.recordable(plain)):
        assert line_queue.put_at_once(snapshot)
    assert [number for _, *number in journal.recorded] == [[1, 1], [2, 2], [3, 3]]
    assert [type(snapshot) for snapshot, *_ in journal.recorded] == [str, str, bytes]
    assert "token=***" in journal.recorded[1][0]
    assert taken(line_queue) == [1, 2, 3]


def test_what_a_journal_has_is_the_same_row_each_time():
    """An event that is written live, and once more by who replays the journal, has one id."""
    snapshot = AuditFormatter().recordable(unfinished(label="Ada", message="Read"))
    line_queue = made(journal=Journal())
    for _ in range(2):
        line_queue.put_at_once(snapshot)
    first, second = line_queue.take_many([line_queue.get_at_once() for _ in range(2)], never, WRITER)
    created = json.loads(first)["occurred_at"]
    assert json.loads(first)["id"] == lines.recorded_id(WRITER, 1, created) != json.loads(second)["id"]
    assert uuid.UUID(json.loads(first)["id"]).version == 7


def test_a_line_that_comes_in_while_one_asks_is_not_missing(monkeypatch):
    """A caller may queue a line, without the lock, between the look into the queue and the count of lines."""
    line_queue = made()
    is_empty = line_queue.is_empty

    def put_after_the_look():
        was_empty = is_empty()
        assert line_queue.put_at_once(SNAPSHOT)
        return was_empty

    monkeypatch.setattr(line_queue, "is_empty", put_after_the_look)
    assert line_queue.missing() == 0


def test_no_line_put_at_once_is_missing():
    """Whoever looks while other threads put lines at once never takes one of them for lost, and in the end has all."""
    line_queue = made(capacity=1_000_000, max_bytes=1_000_000_000)
    threads = [threading.Thread(target=lambda: [line_queue.put_at_once(SNAPSHOT) for _ in range(5000)]) for _ in "1234"]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        line_queue.settled += len(taken(line_queue))
        assert line_queue.missing() == 0
    line_queue.settled += len(taken(line_queue))
    assert line_queue.submitted == line_queue.settled == 20_000


@pytest.mark.parametrize("max_bytes", [1000, 10])
def test_a_snapshot_is_finished_when_it_leaves_the_queue(max_bytes):
    """What a log call leaves to the writer, secrets inside texts, is done before the line goes anywhere."""
    line_queue = made(max_bytes=max_bytes)
    turned_away = line_queue.put(AuditFormatter().snapshot(unfinished()), 0, never)
    line = json.loads(turned_away or line_queue.take(line_queue.get(0.0), lambda record: None, "w"))
    assert line.items() >= {"writer_seq": 1, "user_label": None, "message": "GET /?token=***"}.items()


def test_threads_get_each_number_once():
    """Lines of many threads at once are numbered without gap or double, in the queue's order."""
    line_queue = made(capacity=10_000)
    threads = [threading.Thread(target=lambda: [put(line_queue) for _ in range(1000)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert taken(line_queue) == list(range(1, 8001))
    assert line_queue.submitted == 8000


def test_a_signal_handler_may_log():
    """A handler that runs in the middle of put() puts its own line, and neither deadlocks nor doubles a number."""
    line_queue = made(capacity=1_000_000, max_bytes=1_000_000_000)
    runs = []

    def handle(*_):
        runs.append(put(line_queue))
        put(line_queue)

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
    count = 0
    try:
        while len(runs) < 500:
            put(line_queue)
            count += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert sorted(taken(line_queue)) == list(range(1, count + 2 * len(runs) + 1))
    assert line_queue.submitted == count + 2 * len(runs)


def test_a_call_that_interrupts_another_in_its_thread_never_waits():
    """Inside a put of its own thread a call would wait for a writer that waits for the lock of that put."""
    nested = []

    class Interrupted(queue.SimpleQueue):
        def qsize(self):
            if not nested:
                nested.append(None)
                nested.append(put(line_queue, SNAPSHOT, None, lambda: True))
            return super().qsize()

    interrupted = Interrupted()
    line_queue = LineQueue(interrupted, 8, 1024)
    for _ in range(7):
        interrupted.put("a line of before")
    assert put(line_queue, SNAPSHOT, 0, lambda: True) is False
    assert nested == [None, True]


def test_a_signal_handler_may_log_into_a_full_queue():
    """Without room the handler's line is refused like any other, and nothing waits for itself."""
    line_queue = made(capacity=1)
    results = []
    before = signal.signal(signal.SIGALRM, lambda *_: results.append(put(line_queue, SNAPSHOT, 0.01, lambda: True)))
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.02)
    try:
        put(line_queue)
        while len(results) < 5:
            put(line_queue, SNAPSHOT, 0.005, lambda: True)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert not any(results[1:])


def test_a_destructor_may_log():
    """An object that the garbage collector finds in the middle of put() may log its end."""
    line_queue = made(capacity=1_000_000, max_bytes=1_000_000_000)

    class Mortal:
        def __init__(self):
            self.cycle = self

        def __del__(self):
            put(line_queue)

    threshold = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for _ in range(300):
            Mortal()
            put(line_queue)
    finally:
        gc.set_threshold(*threshold)
        gc.collect()
    assert sorted(taken(line_queue)) == list(range(1, 601))


def test_it_waits_for_room():
    """A caller waits until the writer has taken a line."""
    line_queue = made(capacity=1)
    put(line_queue)

    def answered():
        taken(line_queue)
        return True

    assert put(line_queue, SNAPSHOT, None, answered)


def test_it_waits_from_seven_eighths_on():
    """The last eighth is kept for those who cannot wait: a caller that can is slowed down before."""
    line_queue = made(capacity=16)
    for _ in range(14):
        assert put(line_queue, SNAPSHOT, None, lambda: pytest.fail("waited with room left"))
    asked = []
    assert put(line_queue, SNAPSHOT, None, lambda: len(asked) < 3 and not asked.append(1))
    assert len(asked) == 3


def test_it_stops_waiting_when_that_is_pointless():
    """When the database goes away meanwhile, the caller goes on without its line."""
    line_queue = made(capacity=1)
    put(line_queue)
    answers = iter([True, True, False])
    assert not put(line_queue, SNAPSHOT, None, lambda: next(answers))
    assert list(answers) == []


def test_it_waits_at_most_its_timeout():
    """A caller goes on without its line when its time is over."""
    line_queue = made(capacity=1)
    put(line_queue)
    assert not put(line_queue, SNAPSHOT, 0.01, lambda: True)


@pytest.mark.parametrize("timeout", [None, 60.0])
def test_it_never_waits_inside_an_event_loop(timeout, monkeypatch):
    """In a coroutine a full queue refuses at once: the loop serves others, and perhaps the writer's pool."""
    line_queue = made(capacity=1)
    put(line_queue)
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("slept inside the loop"))

    async def main():
        return put(line_queue, SNAPSHOT, timeout, lambda: True)

    assert asyncio.run(main()) is False


def test_a_thread_beside_an_event_loop_may_wait():
    """A worker thread of an asynchronous application blocks nobody."""
    line_queue = made(capacity=1)
    put(line_queue)

    async def main():
        return await asyncio.to_thread(put, line_queue, SNAPSHOT, None, lambda: bool(taken(line_queue)) or True)

    assert asyncio.run(main()) is True


def test_get_waits_until_its_deadline():
    """The writer gets the next line, or hears that there was none in time."""
    line_queue = made()
    with pytest.raises(queue.Empty):
        line_queue.get(time.monotonic() + 0.01)
    with pytest.raises(queue.Empty):
        line_queue.get(time.monotonic() - 60)
    put(line_queue)
    assert line_queue.get(time.monotonic() - 60) == SNAPSHOT


def test_a_nudge_wakes_the_writer():
    """A writer that waits for lines without end looks up."""
    line_queue = made()
    thread = threading.Thread(target=line_queue.nudge)
    thread.start()
    assert line_queue.get(None) is None
    thread.join()


def test_others_may_use_the_queue():
    """A guest, or a record that a stock QueueHandler put, is counted when it is taken."""
    line_queue = made()
    put(line_queue)
    line_queue.queue.put(lines.Guest(SNAPSHOT))
    assert line_queue.submitted == 1
    line_queue.queue.put(logging.makeLogRecord({"msg": "x"}))
    line_queue.queue.put(logging.makeLogRecord({"msg": "none of ours"}))
    line_queue.nudge()

    def snapshot_of(record):
        return '{"b":1}' if record.msg == "x" else None

    items = [line_queue.take(line_queue.queue.get(), snapshot_of, "w") for _ in range(5)]
    assert [item and lines.seq(item) for item in items] == [1, 2, 3, None, None]
    assert ["b" in json.loads(item) for item in items[:3]] == [False, False, True]
    assert line_queue.submitted == 3


def test_what_others_put_takes_no_room_away():
    """Lines that were not counted when they came are not subtracted when they leave."""
    line_queue = made(max_bytes=2 * len(SNAPSHOT))
    line_queue.queue.put(lines.Guest(SNAPSHOT))
    put(line_queue)
    taken(line_queue)
    assert [put(line_queue) for _ in range(3)] == [True, True, False]


def test_a_bounded_queue_of_the_users():
    """The bound of a queue.Queue that the user made holds as well."""
    line_queue = LineQueue(queue.Queue(3), 1000, 1_000_000)
    assert [put(line_queue) for _ in range(4)] == [True, True, True, False]
    line_queue.nudge()


def test_pending():
    """Lines are pending until it is known what became of them."""
    line_queue = made()
    assert not line_queue.is_pending(0)
    put(line_queue)
    assert line_queue.is_pending(line_queue.submitted)
    taken(line_queue)
    assert line_queue.is_pending(line_queue.submitted)
    line_queue.settled += 1
    assert not line_queue.is_pending(line_queue.submitted)


def test_giving_up():
    """What is given up is counted once, and room and numbers go on."""
    line_queue = made(capacity=3)
    for _ in range(3):
        put(line_queue)
    line_queue.settled = 1
    snapshots = line_queue.take_many(line_queue.take_items(), lambda record: None, "w")
    assert [lines.seq(snapshot) for snapshot in snapshots] == [1, 2, 3]
    assert line_queue.take_items() == []
    assert [put(line_queue) for _ in range(4)] == [True] * 3 + [False]
    assert taken(line_queue) == [5, 6, 7]


def test_a_renewed_queue_is_empty():
    """A forked child has the bounds of its parent and none of its lines, numbers or locks."""
    line_queue = made(capacity=2)
    put(line_queue)
    child = line_queue.renewed()
    assert child.is_empty()
    assert [put(child) for _ in range(3)] == [True, True, False]
    assert taken(child) == [2, 3]
    assert taken(line_queue) == [1]
