"""The run: at random moments something happens to the database, at fixed ones a process is killed."""

import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from sched import scheduler

import psycopg

from pglog_audit.local_postgres import LocalPostgres
from tests.conftest import Database
from tests.soak.crew import Crew
from tests.soak.faults import FAULTS, RESTARTS, Fault
from tests.soak.logging_process import KINDS

_REPORT_EVERY = 5.0
_LONGEST_PAUSE, _LONGEST_FAULT = 4.0, 4.0


class Run:
    """
    Let the *crew* log for so many *seconds*.

    :param tell: takes a line every few seconds.
    """

    def __init__(
        self,
        server: LocalPostgres,
        database: Database,
        crew: Crew,
        *,
        seconds: float,
        kill_every: float,
        seed: int,
        tell: Callable[[str], None],
    ) -> None:
        self._server = server
        self._database = database
        self._crew = crew
        self._seconds = seconds
        self._kill_every = kill_every
        # One each: what is drawn for a fault must not depend on how many kills there were before.
        self._fault_chance, self._session_chance, self._kill_chance = (
            random.Random(f"{seed} {purpose}") for purpose in ("fault", "session", "kill")
        )
        self._tell = tell
        self._scheduler = scheduler(time.monotonic, time.sleep)
        self._begin = 0.0
        self._fault: Fault | None = None
        """What happens to the database now."""
        self._over = ExitStack()
        """Ends it."""
        self.faults: Counter[str] = Counter()
        self.restarts = 0

    def run(self) -> None:
        """Run to the end, after which the database is there."""
        for kind in KINDS:
            self._crew.start(kind)
        self._begin = time.monotonic()
        self._plan(self._pause(), self._begin_fault)
        self._plan(self._kill_every, self._kill)
        self._plan(_REPORT_EVERY, self._report)
        with self._over:
            self._scheduler.run()

    def _plan(self, delay: float, action: Callable[[], None]) -> None:
        """Do *action* after *delay* seconds, unless the run is over by then."""
        if self._age() + delay < self._seconds:
            self._scheduler.enter(delay, 0, action)

    def _age(self) -> float:
        return time.monotonic() - self._begin

    def _pause(self) -> float:
        return self._fault_chance.uniform(0, _LONGEST_PAUSE)

    def _begin_fault(self) -> None:
        self._fault = fault = self._fault_chance.choice(FAULTS)
        self.faults[fault.__name__] += 1
        self.restarts += fault in RESTARTS
        self._over.enter_context(fault(self._server, self._database, self._session_chance))
        # Planned also for after the end: nothing stays broken.
        self._scheduler.enter(self._fault_chance.uniform(0, _LONGEST_FAULT), 0, self._end_fault)

    def _end_fault(self) -> None:
        self._over.close()
        self._fault = None
        self._plan(self._pause(), self._begin_fault)

    def _kill(self) -> None:
        self._plan(self._kill_every, self._kill)
        self._crew.replace(self._kill_chance)

    def _report(self) -> None:
        self._plan(_REPORT_EVERY, self._report)
        self._tell(
            f"{self._age():5.0f} s  {self._crew.returned:10,} returned  {self._rows():>10} rows  "
            f"{self._crew.kills:3} kills  {self.restarts:3} restarts  {self._state()}"
        )

    def _rows(self) -> str:
        """Return how many rows there are; nobody is asked who could not answer."""
        if self._fault is not None:
            return "?"
        try:
            (row,) = self._database.rows("SELECT count(*) FROM audit_log WHERE action = 'soak.log'")
        except psycopg.OperationalError:
            return "?"
        return f"{row['count']:,}"

    def _state(self) -> str:
        return self._fault.__name__.replace("_", " ") if self._fault else ""
