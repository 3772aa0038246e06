"""The proof: what the table, the spool and the processes' own words tell of the calls that returned."""

import re
import signal
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pglog_audit import AuditLog
from pglog_audit.spool import read_statuses
from tests.conftest import Database
from tests.soak.crew import Member

_STREAMS = """
    SELECT (metadata->>'process')::int AS process, (metadata->>'thread')::int AS thread, count(*) AS rows,
        count(DISTINCT metadata->>'n') AS numbers, max((metadata->>'n')::int) AS last
    FROM audit_log WHERE action = 'soak.log' GROUP BY 1, 2
"""
_STREAM = """
    SELECT (metadata->>'n')::int AS n FROM audit_log
    WHERE action = 'soak.log' AND metadata->>'process' = %s AND metadata->>'thread' = %s
"""
_WRITERS = """
    SELECT DISTINCT writer_id::text FROM audit_log WHERE action = 'soak.log' AND metadata->>'process' = %s
    UNION SELECT writer_id::text FROM audit_log WHERE action = 'audit.start' AND metadata->>'pid' = %s
"""
_IDS = "SELECT id::text FROM audit_log GROUP BY id HAVING count(*) > 1"
_NUMBERS = """
    SELECT writer_id::text AS writer, count(*) AS rows, count(DISTINCT writer_seq) AS numbers, min(writer_seq),
        max(writer_seq)
    FROM audit_log WHERE writer_seq > 0 GROUP BY 1
"""
_EXPECTED = re.compile(
    r"Audit events (wait in the spool: |are written again, after: )|pglog_audit: audit events wait in \S+: "
)
"""What a process may say while its database is away, or if it ends before it hears that it is back."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    figure: str
    wrong: tuple[str, ...] = ()
    """A sentence for each thing that is not as it must be."""


def prove(database: Database, members: Iterable[Member], spool: Path) -> list[Check]:
    """Return all checks."""
    members = list(members)
    return [
        check_events(database, members),
        check_ids(database),
        check_numbers(database),
        check_gaps(database, members),
        check_spool(spool),
        check_ends(members),
        check_words(members),
    ]


def check_events(database: Database, members: Iterable[Member]) -> Check:
    """Each event whose call returned is one row, and of a killed process at most one more for each thread."""
    rows = {(row["process"], row["thread"]): row for row in database.rows(_STREAMS)}
    wrong, more = [], 0
    for member in members:
        for thread, returned in enumerate(member.returned):
            row = rows.pop((member.task.number, thread), {"rows": 0, "numbers": 0, "last": -1})
            found = row["rows"] - returned
            more += found
            if not (row["rows"] == row["numbers"] == row["last"] + 1 and 0 <= found <= member.is_killed):
                wrong += _wrong_events(database, member, thread, returned)
    wrong += [f"rows of an unknown process {process}, thread {thread}" for process, thread in rows]
    return Check("events", f"each that returned is a row, {more} more were under way", tuple(wrong))


def _wrong_events(database: Database, member: Member, thread: int, returned: int) -> Iterator[str]:
    found = Counter(row["n"] for row in database.rows(_STREAM, str(member.task.number), str(thread)))
    where = f"{member.name} (writer {' or '.join(_writers(database, member)) or 'unknown'}), thread {thread}: event"
    for n in sorted({*range(returned), *found}):
        if not found[n]:
            yield f"{where} {n} is no row"
        elif found[n] > 1:
            yield f"{where} {n} is {found[n]} rows"
        elif n >= returned + member.is_killed:
            yield f"{where} {n} is a row, but its call did not return"


def _writers(database: Database, member: Member) -> list[str]:
    rows = database.rows(_WRITERS, str(member.task.number), str(member.pid))
    return [row["writer_id"] for row in rows]


def check_ids(database: Database) -> Check:
    """No id is there twice, in no partition."""
    wrong = tuple(f"the id {row['id']} is there more than once" for row in database.rows(_IDS))
    return Check("ids", "no id twice", wrong)


def check_numbers(database: Database) -> Check:
    """Each writer's numbers are 1, 2, 3 and so on, each once."""
    writers = database.rows(_NUMBERS)
    wrong = tuple(
        f"writer {row['writer']} has {row['rows']} rows with {row['numbers']} numbers, {row['min']} to {row['max']}"
        for row in writers
        if not (row["min"] == 1 and row["rows"] == row["numbers"] == row["max"])
    )
    return Check("numbers", f"those of {len(writers)} writers are whole", wrong)


def check_gaps(database: Database, members: Iterable[Member]) -> Check:
    """The gaps are the ends of killed processes alone."""
    killed = [member for member in members if member.is_killed]
    # By their events: one that is killed soon leaves these in its journal, and no row of its start.
    writers = {writer_id for member in killed for writer_id in _writers(database, member)}
    tails, wrong = 0, []
    for gap in AuditLog(database.owner).gaps():
        if gap.kind == "tail" and str(gap.writer_id) in writers:
            tails += 1
        else:
            wrong.append(f"{gap.kind} gap of writer {gap.writer_id} (pid {gap.pid}): {gap.first_seq} to {gap.last_seq}")
    return Check("gaps", f"none but the open ends of {tails} writers, of {len(killed)} that were killed", tuple(wrong))


def check_spool(directory: Path) -> Check:
    """Nothing is left on disk, neither lines nor rejects."""
    wrong: list[str] = []
    for status in read_statuses(directory, count_lines=True):
        if status.lines or status.rejects:
            wrong.append(f"{status.lines} lines and {status.rejects} rejects in {status.path}")
        wrong += status.unreadable
    return Check("spool", "no line is left", tuple(wrong))


def check_ends(members: Iterable[Member]) -> Check:
    """Who was not killed ended in order."""
    ended = [member for member in members if member.process]
    wrong = tuple(
        f"{member.name} ended with {member.exit_code}"
        for member in ended
        if member.exit_code != (-signal.SIGKILL if member.is_killed else 0)
    )
    return Check("ends", f"{sum(not member.is_killed for member in ended)} processes ended in order", wrong)


def check_words(members: Iterable[Member]) -> Check:
    """Nobody said anything but that the database was away."""
    said = [(member, line) for member in members for line in member.task.words.read_text().splitlines()]
    wrong = tuple(f"{member.name} said: {line}" for member, line in said if not _EXPECTED.match(line))
    return Check("words", f"{len(said)} warnings, all about the database", wrong)
