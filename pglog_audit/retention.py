"""Retention: events that are older than they shall be kept go with their whole partition."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from psycopg import Connection, sql
from psycopg.errors import DependentObjectsStillExist

from .dependents import Dependent, find_dependents
from .errors import ConfigurationError, SchemaError
from .guards import find_function, make
from .owned_table import Changing, OwnedTable
from .sql import template, with_parameters

_KEEP = re.compile(r"([1-9]\d{0,4}) ?(day|week|month|year)s?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Retained:
    """A partition that :func:`retain` dropped, or would drop; or one that an earlier run left detached."""

    partition: str
    """Its name, without its schema."""
    begins: datetime | None
    """Its events are of this time or later; None if there is no such bound."""
    ends: datetime
    """Its events are from before this time."""
    events: int
    dropped: tuple[Dependent, ...] = ()
    """What depended on it and, by *cascade*, went with it."""
    in_the_way: tuple[Dependent, ...] | None = None
    """Only of one that is not dropped: what depends on it, and what *cascade* would drop."""
    put_back: str | None = None
    """Only of one that is not dropped: an earlier run, with less to keep, detached it. The SQL that puts it back."""


def retain(
    connection: Connection[Any], keep: str, *, table: str = "audit_log", cascade: bool = False, dry_run: bool = False
) -> Iterator[Retained]:
    """
    Drop the partitions whose events are all older than *keep*, and yield each when it is gone.

    Of each, one transaction takes it from the table, and the next records its events, per partition in a row
    ``audit.retain`` and per writer for ``gaps``, and drops it. Whatever ends the process, the next call goes on from
    there. Of the default partition goes, in one transaction, what is from before the last period that goes whole. What
    an earlier call had detached, and is now to be kept, is yielded as well, with what puts it back; and what stays
    because others made something of it, such as a view, with these.

    :param connection: as the owner or a member of it; outside a transaction.
    :param keep: such as ``24months``, ``90days``, ``8weeks`` or ``10years``.
    :param cascade: drop what depends on a partition with it.
    :param dry_run: drop nothing, and yield what would go.
    :raises ConfigurationError: *keep* is no such time.
    :raises SchemaError: there is no such table, its schema is too old for retention, or this role may not change it.
    :raises psycopg.errors.LockNotAvailable: somebody held the table all the time.
    """
    interval = _interval(keep)
    owned = OwnedTable(connection, table)
    if owned.found.version == 1:
        raise SchemaError(
            f"{owned.found.name} has schema 1, in which nothing can tell what was dropped: run pglog-audit upgrade"
        )
    owned.require_parts()
    return _retain(_Retention(owned, cascade=cascade), interval, dry_run=dry_run)


def _interval(keep: str) -> str:
    found = _KEEP.fullmatch(keep.strip())
    if found is None:
        raise ConfigurationError(f"keep is {keep!r}: write how long, such as 24months, 90days, 8weeks or 10years")
    return f"{found[1]} {found[2]}"


def _retain(retention: "_Retention", interval: str, *, dry_run: bool) -> Iterator[Retained]:
    limit = retention.limit(interval)
    let_go = retention.foresee if dry_run else retention.let_go
    for left in retention.leftovers():
        yield from let_go(left) if left.ends <= limit else retention.spare(left)
    for leaving in retention.old_partitions(limit):
        yield from let_go(leaving)
    for leaving in retention.old_default(limit):
        yield from let_go(leaving)


@dataclass(frozen=True, slots=True)
class _Leaving:
    """A table of which rows go."""

    schema: str
    name: str
    begins: datetime | None
    ends: datetime
    kind: Literal["partition", "default", "detached"] = "detached"

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.name)


class _Retention:
    """The steps, each a change of its own."""

    def __init__(self, owned: OwnedTable, *, cascade: bool) -> None:
        self._owned = owned
        self._cascade = cascade

    def limit(self, interval: str) -> datetime:
        """Return the time before which events are too old."""

        def ask(cursor: Changing) -> datetime:
            [row] = cursor.execute(template("retention_limit"), {"keep": interval}).fetchall()
            limit: datetime = row["limit"]
            return limit

        return self._owned.change(ask)

    def leftovers(self) -> list[_Leaving]:
        """Return what was taken from the table and not dropped, because a process ended in between."""
        return self._owned.change(self._detached)

    def _detached(self, cursor: Changing) -> list[_Leaving]:
        rows = cursor.execute(template("detached_tables"), {"table": self._owned.found.oid}).fetchall()
        return [_Leaving(**row) for row in rows]

    def old_partitions(self, limit: datetime) -> list[_Leaving]:
        """Return the partitions that hold nothing that is to be kept."""
        return [
            _Leaving(each.schema, each.name, each.begins, each.ends, "partition")
            for each in self._owned.change(self._owned.partitions)
            if each.ends is not None and each.ends <= limit
        ]

    def old_default(self, limit: datetime) -> Iterator[_Leaving]:
        """Yield what of the default partition is too old, if there is any."""
        until = self._owned.found.step.begin(limit)
        for default in self._owned.change(self._owned.partitions):
            leaving = _Leaving(default.schema, default.name, None, until, "default")
            if default.is_default and self._owned.change(lambda cursor, one=leaving: self._count(cursor, one)):  # type: ignore[misc]
                yield leaving

    def foresee(self, leaving: _Leaving) -> Iterator[Retained]:
        """Tell what would go, or would but for what depends on it."""
        events = self._owned.change(lambda cursor: self._count(cursor, leaving))
        dependents = self._dependents(leaving)
        told = Retained(leaving.name, leaving.begins, leaving.ends, events)
        if self._cascade:
            yield replace(told, dropped=dependents)
        else:
            yield replace(told, in_the_way=dependents or None)

    def _dependents(self, leaving: _Leaving) -> tuple[Dependent, ...]:
        return self._owned.change(lambda cursor: find_dependents(cursor.connection, leaving.identifier))

    def spare(self, left: _Leaving) -> Iterator[Retained]:
        """Tell what puts a table back that is to be kept after all."""
        events = self._owned.change(lambda cursor: self._count(cursor, left))
        put_back = self._owned.change(lambda cursor: self._put_back(cursor, left))
        yield Retained(left.name, left.begins, left.ends, events, put_back=put_back)

    def _put_back(self, cursor: Changing, left: _Leaving) -> str:
        file = "put_back_rows" if self._has_late(cursor, left) else "put_back_partition"
        statements = template(file).format(**self._names(cursor, left))
        owner = sql.Identifier(self._owned.role)
        return template("put_back").format(owner=owner, statements=statements).as_string()

    def _has_late(self, cursor: Changing, left: _Leaving) -> bool:
        """Tell whether the default partition has a late event of its time by now."""
        default = next((each for each in self._owned.partitions(cursor) if each.is_default), None)
        return default is not None and self._owned.count(cursor, default.identifier, left.begins, left.ends) > 0

    def _names(self, cursor: Changing, left: _Leaving) -> dict[str, sql.Composable]:
        return {
            "table": self._owned.found.identifier,
            "relation": left.identifier,
            "columns": self._owned.columns(cursor),
            "begins": sql.SQL("MINVALUE") if left.begins is None else sql.Literal(left.begins.isoformat()),
            "ends": sql.Literal(left.ends.isoformat()),
        }

    def _count(self, cursor: Changing, leaving: _Leaving) -> int:
        return self._owned.count(cursor, leaving.identifier, leaving.begins, leaving.ends)

    def let_go(self, leaving: _Leaving) -> Iterator[Retained]:
        """Drop it, unless another call has done so by now, or something depends on it."""
        if not self._cascade and self._dependents(leaving):
            yield from self.foresee(leaving)
        elif leaving.kind != "partition" or self._detach(leaving):
            yield from self.finish(leaving)

    def _detach(self, leaving: _Leaving) -> bool:
        """Take a partition from the table, unless another call has done so by now."""

        def work(cursor: Changing) -> bool:
            for partition in self._owned.partitions(cursor):
                if partition.name == leaving.name:
                    self._owned.detach(cursor, partition)
                    self._mark(cursor, leaving)
                    return True
            return False

        return self._owned.change(work)

    def _mark(self, cursor: Changing, leaving: _Leaving) -> None:
        """Let the table say what it is, for the next call if this one ends here; and guard it until it goes."""
        function = find_function(cursor.connection, self._owned.found.oid, self._owned.found.table)
        cursor.execute(make(function, leaving.identifier, "refuse_change"))
        mark = {
            "table": self._owned.found.table,
            "begins": leaving.begins and leaving.begins.isoformat(),
            "ends": leaving.ends.isoformat(),
        }
        comment = sql.Literal(f"pglog_audit retain {json.dumps(mark, ensure_ascii=False)}")
        cursor.execute(template("mark_detached").format(relation=leaving.identifier, comment=comment))

    def finish(self, leaving: _Leaving) -> Iterator[Retained]:
        """Record what goes, and drop it."""
        drop = self._drop_default if leaving.kind == "default" else self._drop
        try:
            gone = self._owned.change(lambda cursor: drop(cursor, leaving))
        except DependentObjectsStillExist:  # who waited for the table while it was detached comes before its drop
            if leaving.kind == "partition":
                self._owned.change(lambda cursor: self._attach_again(cursor, leaving))
            [told] = self.foresee(leaving)
            yield replace(told, in_the_way=told.in_the_way or ())
        else:
            yield from [gone] if gone else []

    def _drop(self, cursor: Changing, leaving: _Leaving) -> Retained | None:
        if leaving.name not in {each.name for each in self._detached(cursor)}:
            return None
        dependents = find_dependents(cursor.connection, leaving.identifier)
        return self._record(cursor, leaving, leaving.identifier, dependents)

    def _drop_default(self, cursor: Changing, leaving: _Leaving) -> Retained | None:
        """Put another default partition with the rows that are kept in the place of the one there is."""
        if not self._count(cursor, leaving):
            return None
        old, default, dependents = self._owned.take_default(cursor)
        self._owned.move(cursor, old, default, leaving.ends)
        self._owned.attach(cursor, default)
        return self._record(cursor, leaving, old.identifier, dependents)

    def _record(
        self, cursor: Changing, leaving: _Leaving, relation: sql.Identifier, dependents: tuple[Dependent, ...]
    ) -> Retained:
        """Record what goes with the table *relation*, and drop that."""
        names = {
            "partition": with_parameters(relation),
            "retained": self._owned.found.retained,
            "table": self._owned.found.identifier,
        }
        told = {"name": leaving.name, "begins": leaving.begins, "ends": leaving.ends}
        [recorded] = cursor.execute(template("record_retained").format(**names), told).fetchall()
        cursor.execute(template("record_retain_event").format(**names), told | recorded)
        self._owned.drop(cursor, relation, cascade=self._cascade)
        return Retained(leaving.name, leaving.begins, leaving.ends, int(recorded["events"]), dependents)

    def _attach_again(self, cursor: Changing, leaving: _Leaving) -> None:
        is_there = leaving.name in {each.name for each in self._detached(cursor)}
        if is_there and not self._has_late(cursor, leaving):
            cursor.execute(template("put_back_partition").format(**self._names(cursor, leaving)))
