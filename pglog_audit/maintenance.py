"""The upkeep of the audit table: partitions ahead, guards put right, and the default partition drained."""

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from psycopg import Connection
from psycopg.errors import CheckViolation, DependentObjectsStillExist

from . import table_names
from .audit_table import find_taken
from .dependents import WHAT_NOW, Dependent, find_dependents, tell_dependents
from .guards import Guard, find_function, find_guards, restore
from .owned_table import Changing, OwnedTable, Partition
from .sql import template, with_parameters
from .steps import Step

MAX_FAR = 24
"""Partitions that there are at most for rows of a time after all that are made ahead."""

_END_OF_TIME = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Maintained:
    """What :func:`maintain` did, or would do."""

    table: str
    """The table's name with its schema, quoted as SQL wants it."""
    step: Step
    """How long its partitions are."""
    ahead: int
    """How many partitions there are now after the current one, at least."""
    restored: tuple[Guard, ...] = ()
    """The triggers that were not in order."""
    made: tuple[str, ...] = ()
    """The partitions that were not there."""
    moved: int = 0
    """Rows of the default partition that lie in partitions of their own now."""
    dropped: tuple[Dependent, ...] = ()
    """What depended on the default partition and, by *cascade*, went."""
    problems: tuple[str, ...] = ()
    """What could not be done, and what to run."""


def maintain(
    connection: Connection[Any],
    *,
    table: str = "audit_log",
    ahead: int | None = None,
    cascade: bool = False,
    dry_run: bool = False,
) -> Maintained:
    """
    Keep the audit table in order while writers write; a second call changes nothing.

    The triggers that refuse changes are put right, partitions are made from the current one on, and rows of the default
    partition whose partition was not there are moved to it. What retention dropped does not come back. Every step is
    a transaction of its own that waits for a lock for a second at most, again and again for about a minute.

    :param connection: as the owner or a member of it; outside a transaction.
    :param ahead: how many partitions there shall be after the current one: by default 30 days, 12 months or 2 years.
    :param cascade: a new default partition takes the place of one that rows are moved from: drop what others made of
        the old one, such as views. Otherwise these rows stay where they are, and the problems name it.
    :param dry_run: change nothing, and tell what would be done.
    :raises SchemaError: there is no such table, or this role may not change it; the message says what to run.
    :raises psycopg.errors.LockNotAvailable: somebody held the table all the time.
    """
    owned = OwnedTable(connection, table)
    foreign = owned.require_parts(but_partitions=True)
    step = owned.found.step
    ahead = step.ahead if ahead is None else ahead
    theirs = {part.name for part in foreign}
    restored = _restore_guards(connection, owned, theirs, dry_run=dry_run)
    plan = owned.change(lambda cursor: _plan(owned, cursor, ahead, cascade=cascade))
    if dry_run:
        done = owned.change(lambda cursor: _foresee(owned, cursor, plan))
    else:
        done = _carry_out(owned, plan, cascade=cascade)
    made = [each.name for each in plan.missing if each.name not in done.left]
    if plan.lacks_default:
        made.append(owned.default_name)
    problems = [_in_the_way(owned, name) for name in plan.taken]
    if done.left:
        problems.append(owned.change(lambda cursor: _tell_dependents(owned, cursor)))
    if foreign:
        problems.append(owned.describe(foreign))
    dropped = tuple(done.dropped)
    return Maintained(owned.found.name, step, ahead, restored, tuple(made), done.moved, dropped, tuple(problems))


def _in_the_way(owned: OwnedTable, name: str) -> str:
    there, table = owned.found.beside(name).as_string(), owned.found.name
    return f"{there} is in the way: a partition of {table} shall have that name; rename it and run this again"


def _tell_dependents(owned: OwnedTable, cursor: Changing) -> str:
    [default] = [each for each in owned.partitions(cursor) if each.is_default]
    told = tell_dependents(default.name, find_dependents(cursor.connection, default.identifier))
    return f"{told}, and rows in it that lack a partition. {WHAT_NOW}"


@dataclass(frozen=True, slots=True)
class _Plan:
    default: Partition | None
    missing: Sequence[Partition]
    """Partitions to make, oldest first."""
    blocked: Sequence[Partition]
    """Those of them that the default partition has rows of."""
    left: Sequence[Partition]
    """Others that it has rows of, and cannot give them away because of what depends on it."""
    dependents: Sequence[Dependent]
    """What is to be dropped with it."""
    taken: Sequence[str]
    """The names that other relations have, so that their partitions cannot be made."""
    lacks_default: bool
    """Whether the default partition is to be made."""


@dataclass(slots=True)
class _Done:
    """What became of the default partition."""

    moved: int = 0
    dropped: list[Dependent] = field(default_factory=list)
    left: set[str] = field(default_factory=set)
    """The names of partitions that could not be made."""


def _plan(owned: OwnedTable, cursor: Changing, ahead: int, *, cascade: bool) -> _Plan:
    step, partitions = owned.found.step, owned.partitions(cursor)
    default = next((each for each in partitions if each.is_default), None)
    [row] = cursor.execute(template("server_time")).fetchall()
    until = step.after(step.begin(row["now"]), ahead + 1)
    since = _since(owned, cursor, partitions, step.begin(row["now"]))
    occupied = _near(_occupied(owned, cursor, default, since), partitions, until)
    periods = occupied | {begin for begin, _ in step.between(row["now"], until)}
    missing = list(_missing(owned, partitions, sorted(periods)))
    names = [*([] if default else [owned.default_name]), *(each.name for each in missing)]
    taken = find_taken(cursor.connection, owned.found.schema, names)
    missing = [each for each in missing if each.name not in taken]
    blocked = [each for each in missing if each.begins and step.begin(each.begins) in occupied]
    dependents = find_dependents(cursor.connection, default.identifier) if default and blocked else ()
    left = blocked if dependents and not cascade else []
    missing, blocked = ([each for each in some if each not in left] for some in (missing, blocked))
    lacks_default = default is None and owned.default_name not in taken
    return _Plan(default, missing, blocked, left, dependents if blocked else (), taken, lacks_default)


def _foresee(owned: OwnedTable, cursor: Changing, plan: _Plan) -> _Done:
    """Return what would become of the default partition."""
    return _Done(_count(owned, cursor, plan), [*plan.dependents], {each.name for each in plan.left})


def _carry_out(owned: OwnedTable, plan: _Plan, *, cascade: bool) -> _Done:
    """Make what is missing, and return what became of the default partition."""
    done = _Done(left={each.name for each in plan.left})
    if plan.lacks_default:
        owned.change(owned.make_default)
    elif plan.blocked:
        _try_to_drain(owned, plan.blocked, done, cascade=cascade)
    for partition in plan.missing:
        try:
            owned.change(lambda cursor, one=partition: _make(owned, cursor, one))  # type: ignore[misc]
        except CheckViolation:  # since the plan the default partition has a row of it
            _try_to_drain(owned, [partition], done, cascade=cascade)
    return done


def _try_to_drain(owned: OwnedTable, blocked: Sequence[Partition], done: _Done, *, cascade: bool) -> None:
    """Drain the default partition unless, since the plan, somebody made what depends on it."""
    try:
        moved, dropped = owned.change(lambda cursor: _drain(owned, cursor, blocked, cascade=cascade))
    except DependentObjectsStillExist:
        done.left.update(each.name for each in blocked)
    else:
        done.left.difference_update(each.name for each in blocked)
        done.moved += moved
        done.dropped += dropped


def _restore_guards(
    connection: Connection[Any], owned: OwnedTable, theirs: Container[str], *, dry_run: bool
) -> tuple[Guard, ...]:
    """Put the triggers right, but those of partitions that are *theirs* and not the owner's."""

    def faults(_cursor: Changing) -> list[Guard]:
        found = find_guards(connection, owned.found.oid, owned.found.table)
        return [each for each in found if each.fault and each.relation not in theirs]

    def mend(cursor: Changing) -> None:
        function = find_function(connection, owned.found.oid, owned.found.table)
        for statement in restore(function, faults(cursor)):
            cursor.execute(statement)

    found = owned.change(faults)
    # Twice: only where the function is whole it can be told which triggers call another one.
    for _ in range(0 if dry_run else 2):
        if owned.change(faults):
            owned.change(mend)
    return tuple(found)


def _since(owned: OwnedTable, cursor: Changing, partitions: Iterable[Partition], now: datetime) -> datetime:
    """Return since when rows shall lie in partitions of their own: what is older came too late."""
    begins = [each.begins or each.ends for each in partitions if not each.is_default]
    since = min([now, *filter(None, begins)])
    if (owned.found.version or 0) > 1:
        statement = template("retained_until").format(retained=owned.found.retained)
        [row] = cursor.execute(statement).fetchall()
        since = max(since, row["ends"] or since)
    return since


def _occupied(owned: OwnedTable, cursor: Changing, default: Partition | None, since: datetime) -> set[datetime]:
    """Return when the periods begin that the default partition has rows of."""
    if default is None:
        return set()
    statement = template("occupied_periods").format(partition=with_parameters(default.identifier))
    asked = {"unit": owned.found.step.unit, "since": since, "until": _END_OF_TIME}
    return {owned.found.step.begin(row["begins"]) for row in cursor.execute(statement, asked).fetchall()}


def _near(occupied: set[datetime], partitions: Iterable[Partition], until: datetime) -> set[datetime]:
    """Leave out what lies after all partitions that there shall be, if it is more than clocks go wrong."""
    far = {each for each in occupied if each >= until}
    there = sum(each.begins is not None and each.begins >= until for each in partitions)
    # Whoever may insert may plant rows of any time: nobody shall have a table of a thousand partitions for it.
    return occupied if len(far) + there <= MAX_FAR else occupied - far


def _missing(owned: OwnedTable, partitions: Iterable[Partition], periods: Iterable[datetime]) -> Iterator[Partition]:
    """Yield a partition for what of each of *periods* has none yet."""
    step, prefix = owned.found.step, table_names.name_prefix(owned.found.table)
    there = [each for each in partitions if not each.is_default]
    for period in periods:
        for first, end in _rest(period, step.after(period), there):
            yield Partition(owned.found.schema, step.name_of(prefix, first), is_default=False, begins=first, ends=end)


def _rest(begin: datetime, end: datetime, there: Iterable[Partition]) -> Iterator[tuple[datetime, datetime]]:
    """Yield the parts of the time from *begin* to *end* that no partition that is *there* covers; oldest first."""
    for each in there:
        if (each.ends is None or each.ends > begin) and (each.begins is None or each.begins < end):
            if each.begins is not None and each.begins > begin:
                yield begin, each.begins
            if each.ends is None:
                return
            begin = max(begin, each.ends)
    if begin < end:
        yield begin, end


def _count(owned: OwnedTable, cursor: Changing, plan: _Plan) -> int:
    """Return how many rows of the default partition would be moved."""
    if plan.default is None:
        return 0
    return sum(owned.count(cursor, plan.default.identifier, each.begins, each.ends) for each in plan.blocked)


def _make(owned: OwnedTable, cursor: Changing, partition: Partition) -> None:
    """Make *partition* unless it is there by now: another call may run at the same time."""
    if partition.name not in {each.name for each in owned.partitions(cursor)}:
        owned.make_partition(cursor, partition)


def _drain(
    owned: OwnedTable, cursor: Changing, blocked: Iterable[Partition], *, cascade: bool
) -> tuple[int, tuple[Dependent, ...]]:
    """Make the partitions that are *blocked* by rows of the default one, and return how many, and what was dropped."""
    there = {each.name for each in owned.partitions(cursor)}
    missing = [each for each in blocked if each.name not in there]
    if not missing:
        return 0, ()
    # In one transaction, in which nobody else can use the table: no row is in two places, or in none, for anybody.
    old, default, dependents = owned.take_default(cursor)
    moved, since = 0, None
    for each in missing:
        owned.make_table(cursor, each)
        owned.move(cursor, old, default, since, each.begins)
        moved += owned.move(cursor, old, each, each.begins, each.ends)
        owned.attach(cursor, each)
        since = each.ends
    owned.move(cursor, old, default, since)
    owned.attach(cursor, default)
    owned.drop(cursor, old.identifier, cascade=cascade)
    return moved, dependents
