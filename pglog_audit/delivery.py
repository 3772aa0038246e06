"""
The delivery: what the writer's thread does with the lines of the queue, one step after the other.

Lines in hand are tried until they are rows. With a spool they are on disk instead as soon as the database does not take
them, and come back from there, one batch after each batch of new lines: neither holds up the other.
"""

import random
import time
from functools import partial

from . import diagnostics
from .line_queue import POLL_INTERVAL, LineQueue
from .lines_in_hand import LinesInHand
from .own_events import OwnEvents
from .postgres_handler import PostgresHandler
from .verdict import Verdict
from .written import Written

_MIN_DELAY, _MAX_DELAY = 0.1, 30.0


class Delivery:
    """
    Make rows of the lines of *line_queue* through *writer*; for one thread, but where it says otherwise.

    A step that fails leaves everything such that the next one goes on.
    """

    def __init__(self, writer: PostgresHandler, line_queue: LineQueue) -> None:
        self._writer = writer
        self._options = writer.options
        self._account = writer.account
        self._backlog = writer.backlog
        self._lines = line_queue
        self._own_events = OwnEvents(
            writer.writer_id,
            writer.account,
            line_queue.draw,
            service=writer.formatter.service,
            lifecycle=self._options.lifecycle,
        )
        self._hand = LinesInHand(line_queue, writer)
        self._batch_size = self._options.batch_size
        self._min_batch = 0
        """Lines of the next batch at least: one more than the table refused altogether."""
        self._is_replay_refused = False
        """Whether the table takes none of the next lines to replay."""
        self._delay = 0.0
        self._wanted_until = 0.0
        self._giving_up = 0
        """How many threads, which end the process, find out where to leave what waits; they settle it afterwards."""
        self.is_ending = False
        """Whether a row is to say, as soon as nothing waits, that this is the end."""
        self.problem: str | None = None
        """Why lines wait now."""

    # For other threads

    def want(self, deadline: float) -> None:
        """Make attempts at shorter intervals until *deadline*, by time.monotonic(): somebody waits."""
        self._wanted_until = max(self._wanted_until, deadline)

    def is_idle(self) -> bool:
        """Tell whether nothing waits."""
        return self._hand.is_empty() and self._lines.is_empty()

    def oldest_unsent(self) -> float | None:
        """Return for how many seconds the oldest line that is no row has been here or on disk; None without any."""
        ages = [time.monotonic() - self._hand.since] if self._hand.lines else []
        if self._backlog is not None and (age := self._backlog.age()) is not None:
            ages.append(age)
        return max(ages, default=None)

    def give_up(self) -> int:
        """Put what waits to the spool, count the rest as lost, and return how many lines that are."""
        hand, rest, unseen, settled = self._hand, list[str](), 0, 0
        with hand.lock:
            self._giving_up += 1
        try:
            deadline = time.monotonic() + _MIN_DELAY
            rest += hand.give_up()
            while self._unclaimed() and time.monotonic() < deadline:
                time.sleep(POLL_INTERVAL)  # the writer has just taken one, and has it in hand at once
                rest += hand.give_up()
            with hand.lock:
                unseen = self._unclaimed()
                hand.claimed += unseen
            lost = self._give_up(rest, unseen)
            settled = len(rest) + unseen
            return lost
        finally:
            with hand.lock:
                self._giving_up -= 1
                hand.claimed -= len(rest) + unseen
                self._lines.settled += settled

    def _unclaimed(self) -> int:
        return max(0, self._lines.unsettled() - self._hand.claimed)

    def _give_up(self, rest: list[str], unseen: int) -> int:
        left = rest
        if self._backlog is not None and rest:
            left = self._backlog.keep(rest)
        self._account.note("exit", left)
        lost = len(left) + self._lose_unseen("exit", unseen)
        if self._lines.last_seq:
            self._keep_own(is_end=not lost)
        return lost

    # The steps

    def step(self) -> None:
        """Take what is there, and write it; without anything to do wait for a line."""
        try:
            is_ending = self.is_ending  # an end that comes meanwhile, in a pause, is worth one more attempt
            self._hand.drop_given_up()
            self._hand.fill(self._batch_size, self._until(), at_least=self._min_batch)
            if self._hand.lines:
                self._deliver()
            elif self._is_replay_due():
                self._replay(others_fit=False)
            self._forget()
            if is_ending and self.is_idle() and not self._is_replaying():
                self._end()
        except Exception as error:  # noqa: BLE001 - the thread must outlive whatever happens; the lines are in hand
            self._hand.doubtful = len(self._hand.lines)
            diagnostics.warn("writer", "The audit writer failed and tries again: %r", error)
            self._account.fail(repr(error))
            self._wait_after(repr(error))

    def _until(self) -> float | None:
        """Return until when to wait for a line; None for as long as it takes."""
        if self.is_ending or not self._hand.is_empty():
            return 0.0
        return None if self._backlog is None else self._backlog.next_look

    def _is_replaying(self) -> bool:
        """Tell whether there is more on disk, and the database takes it."""
        return self._is_replay_due() and self.problem is None and not self._is_replay_refused

    def _is_replay_due(self) -> bool:
        return self._backlog is not None and time.monotonic() >= self._backlog.next_look

    def _deliver(self) -> None:
        hand, size = self._hand, max(self._batch_size, self._min_batch)
        batch, begin = hand.lines[:size], time.monotonic()
        were_sent = hand.doubtful > 0 or (self._backlog is not None and self._backlog.may_have_replayed(batch))
        # Until it is known what came of it: an exception may be injected at any moment.
        hand.doubtful = max(hand.doubtful, len(batch))
        fill_next = partial(hand.fill_next, self._batch_size, len(batch))
        written = self._writer.write(batch, are_new=not were_sent, meanwhile=fill_next)
        for refusal in written.refused:
            self._writer.reject(refusal)  # before the journal forgets it
        if not written.left:
            # Before flush() hears of the batch: whoever ends now has its start in the table.
            self._writer.tell(self._own_events)
        self._account.tell(written, were_sent=were_sent)  # before flush() hears of it, and without a lock
        with hand.lock:
            if hand.drop_given_up():
                return
            hand.lines = written.left + hand.lines[len(batch) :]
            if not written.left:
                hand.since, hand.doubtful = begin, max(0, hand.doubtful - len(batch))
            # Before flush() hears of it, too: who asks then finds the batch in the counters.
            self._account.add(written, batch, were_sent=were_sent)
            self._settle(written.stored + written.duplicates + len(written.refused))
        diagnostics.tell()
        # If the table takes none of them, a further line tells whether the fault is theirs.
        self._min_batch = len(batch) + 1 if written.verdict is Verdict.CONFIGURATION else 0
        if written.left:
            self._after_failure(written)
            return
        self._after_success()
        if self._is_replay_due() or self._is_replay_refused:
            self._replay(others_fit=written.stored > 0)

    def _settle(self, count: int) -> None:
        self._lines.settled += count
        self._forget()

    def _forget(self) -> None:
        # What is under way may have been overtaken by a line of its own signal handler, and its number with it.
        if self._backlog is not None and not self._lines.under_way:
            self._backlog.forget(self._lines.settled)

    def settle_missing(self) -> None:
        """Say what became of lines that are neither in the queue nor in hand: an exception came in between."""
        if not self._giving_up:
            missing = self._lines.missing()
            if self._lose_unseen("writer", missing) and self.problem is None:
                self._writer.tell(self._own_events)
            # At last: a further exception before rather counts them twice, and the journal keeps them.
            self._lines.settled += missing

    def _lose_unseen(self, reason: str, count: int) -> int:
        """Count lines that nobody has as lost, unless they are in the journal, and return how many are."""
        if not count or (self._backlog is not None and self._backlog.keep_journal()):
            return 0
        # Without a journal a line in the queue has no number yet; with one, nobody knows which it was.
        numbers = [] if self._options.journal else [self._lines.draw() for _ in range(count)]
        self._account.lose_unseen(reason, count, numbers)
        return count

    def _replay(self, *, others_fit: bool) -> None:
        """Make rows of lines on disk; those that the table does not take hold up no new ones."""
        assert self._backlog is not None  # noqa: S101 - there is something to replay
        written = self._backlog.replay(self._batch_size, others_fit=others_fit)
        self._is_replay_refused = False
        if written is None:
            return
        if not written.left:
            self._after_success()
        elif written.verdict in (Verdict.CONFIGURATION, Verdict.UNKNOWN, None):
            self._is_replay_refused = True
            self.problem = self.problem and written.problem
            self._account.fail(written.problem or "")
            diagnostics.warn("replay", "Audit events wait in the spool: %s", written.problem)
            self._backlog.put_off()
        else:
            self._after_failure(written)

    def _after_success(self) -> None:
        if self.problem is not None:
            diagnostics.warn("written again", "Audit events are written again, after: %s", self.problem)
            diagnostics.forget("waiting")
        self.problem, self._delay = None, 0.0
        self._batch_size = min(self._batch_size * 2, self._options.batch_size)
        self._writer.tell(self._own_events)

    def _end(self) -> None:
        if self.problem is None:
            self._writer.tell(self._own_events, last_seq=self._lines.last_seq)
        if self._backlog is not None:
            self._keep_own(is_end=True)
            self._backlog.close()
        self._writer.release()
        self.is_ending = False

    # The database does not take them

    def _after_failure(self, written: Written) -> None:
        if written.verdict is Verdict.SMALLER:
            self._batch_size = max(1, self._batch_size // 2)
        self._put_aside()
        problem = written.problem or ""
        self._account.fail(problem)
        waiting = self._lines.unsettled()
        if self._backlog is None:
            diagnostics.warn("waiting", "Audit events wait (%d so far): %s", waiting, problem)
        else:
            diagnostics.warn("waiting", "Audit events wait in the spool: %s", problem)
        self._wait_after(problem)

    def _put_aside(self) -> None:
        """Put the lines in hand to the spool."""
        hand = self._hand
        if self._backlog is None or not hand.lines or hand.drop_given_up():
            return
        self._keep_own(with_losses=False)
        left = self._backlog.keep(hand.lines)
        if left:
            text = "Audit events wait in memory (%d so far), because the spool has no room: %s"
            diagnostics.warn("no room", text, self._lines.unsettled(), self._backlog.problem)
        with hand.lock:
            if hand.drop_given_up():
                return
            count, hand.lines = len(hand.lines) - len(left), left
            self._min_batch, hand.doubtful = 0, len(left)
            self._settle(count)
        diagnostics.tell()

    def _keep_own(self, *, is_end: bool = False, with_losses: bool = True) -> None:
        if self._backlog is not None:
            last_seq = self._lines.last_seq if is_end else None
            waiting = self._own_events.waiting(last_seq=last_seq, with_losses=with_losses)
            self._own_events.done(waiting[: self._backlog.keep_own(waiting)])

    def _wait_after(self, problem: str) -> None:
        """Wait before the next attempt: longer each time, with jitter, shortly while somebody waits in flush()."""
        self.problem = problem
        self._delay = min(max(_MIN_DELAY, self._delay * 2), _MAX_DELAY)
        begin = time.monotonic()
        delay = self._delay * random.uniform(0.5, 1.0)  # noqa: S311 - spreads attempts, guards nothing
        while (now := time.monotonic()) < begin + delay and not self._hand.given_up:
            if begin + _MIN_DELAY < now < self._wanted_until:
                return
            self._wait(_MIN_DELAY / 4)

    def _wait(self, seconds: float) -> None:
        if self._backlog is None or self._hand.lines:
            time.sleep(seconds)
        else:
            self._hand.fill(self._batch_size, time.monotonic() + seconds, at_least=self._min_batch)
        self._put_aside()
