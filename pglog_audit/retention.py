"""Retention: events that are older than they shall be kept go with their whole partition."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from psycopg import Connection, sql

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
    put_back: str | None = None
    """Only of one that is not dropped: an earlier run, with less to keep, detached it. The SQL that puts it back."""


def retain(
    connection: Connection[Any], keep: str, *, table: str = "audit_log", dry_run: bool = False
) -> Iterator[Retained]:
    """
    Drop the partitions whose events are all older than *keep*, and yield each when it is gone.

    Of each, one transaction takes it from the table, and the next records its events, per partition in a row
    ``audit.retain`` and per writer for ``gaps``, and drops it. Whatever ends the process, the next call goes on from
    there. Of the default partition goes what is from before the last period that goes whole. What an earlier call had
    detached, and is now to be kept, is yielded as well, with what puts it back.

    :param connection: as the owner or a member of it; outside a transaction.
    :param keep: such as ``24months``, ``90days``, ``8weeks`` or ``10years``.
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
    return _retain(_Retention(owned), interval, dry_run=dry_run)


def _interval(keep: str) -> str:
    found = _KEEP.fullmatch(keep.strip())
    if found is None:
        raise ConfigurationError(f"keep is {keep!r}: write how long, such as 24months, 90days, 8weeks or 10years")
    return f"{found[1]} {found[2]}"


def _retain(retention: "_Retention", interval: str, *, dry_run: bool) -> Iterator[Retained]:
    limit = retention.limit(interval)
    act = retention.count if dry_run else retention.finish
    for left in retention.leftovers():
        yield from act(left) if left.ends <= limit else retention.spare(left)
    for leaving in retention.old_partitions(limit):
        if dry_run or retention.detach(leaving):
            yield from act(leaving)
    for leaving in retention.old_default(limit):
        for gone in [leaving] if dry_run else retention.detach_default(leaving):
            yield from act(gone)


@dataclass(frozen=True, slots=True)
class _Leaving:
    """A table whose rows go: a partition still, or one no more."""

    schema: str
    name: str
    """The table's."""
    partition: str
    """What it was called as a partition."""
    begins: datetime | None
    ends: datetime

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.name)


class _Retention:
    """The steps, each a change of its own."""

    def __init__(self, owned: OwnedTable) -> None:
        self._owned = owned

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
            _Leaving(each.schema, each.name, each.name, each.begins, each.ends)
            for each in self._owned.change(self._owned.partitions)
            if each.ends is not None and each.ends <= limit
        ]

    def old_default(self, limit: datetime) -> Iterator[_Leaving]:
        """Yield what of the default partition is too old, if there is any."""
        until = self._owned.found.step.begin(limit)
        for default in self._owned.change(self._owned.partitions):
            leaving = _Leaving(default.schema, default.name, default.name, None, until)
            if default.is_default and self._owned.change(lambda cursor, one=leaving: self._count(cursor, one)):  # type: ignore[misc]
                yield leaving

    def count(self, leaving: _Leaving) -> Iterator[Retained]:
        """Tell what would go."""
        events = self._owned.change(lambda cursor: self._count(cursor, leaving))
        yield Retained(leaving.partition, leaving.begins, leaving.ends, events)

    def spare(self, left: _Leaving) -> Iterator[Retained]:
        """Tell what puts a table back that is to be kept after all."""
        for found in self.count(left):
            yield replace(found, put_back=self._owned.change(lambda cursor: self._put_back(cursor, left)))

    def _put_back(self, cursor: Changing, left: _Leaving) -> str:
        names = {
            "owner": sql.Identifier(self._owned.role),
            "table": self._owned.found.identifier,
            "relation": left.identifier,
            "columns": self._owned.columns(cursor),
            "begins": sql.SQL("MINVALUE") if left.begins is None else sql.Literal(left.begins.isoformat()),
            "ends": sql.Literal(left.ends.isoformat()),
        }
        default = next((each for each in self._owned.partitions(cursor) if each.is_default), None)
        # A late event of its time stands there now; and where only rows of it went, another one has its place.
        has_late = default and self._owned.count(cursor, default.identifier, left.begins, left.ends) > 0
        file = "put_back_rows" if has_late or left.name != left.partition else "put_back_partition"
        return template(file).format(**names).as_string()

    def _count(self, cursor: Changing, leaving: _Leaving) -> int:
        return self._owned.count(cursor, leaving.identifier, leaving.begins, leaving.ends)

    def detach(self, leaving: _Leaving) -> bool:
        """Take a partition from the table, unless another call has done so by now."""

        def work(cursor: Changing) -> bool:
            for partition in self._owned.partitions(cursor):
                if partition.name == leaving.name:
                    self._owned.detach(cursor, partition)
                    self._mark(cursor, leaving)
                    return True
            return False

        return self._owned.change(work)

    def detach_default(self, leaving: _Leaving) -> Iterator[_Leaving]:
        """Take the default partition from the table, unless another call does; the rows that are kept stay."""

        def work(cursor: Changing) -> list[_Leaving]:
            if any(each.partition == leaving.partition for each in self._detached(cursor)):
                return []
            old = self._owned.replace_default(cursor, "_default_old")
            self._owned.take_back(cursor, old, leaving.ends)
            gone = replace(leaving, name=old.name)
            self._mark(cursor, gone)
            return [gone]

        yield from self._owned.change(work)

    def _mark(self, cursor: Changing, leaving: _Leaving) -> None:
        """Let the table say what it is, for the next call if this one ends here; and guard it until it goes."""
        function = find_function(cursor.connection, self._owned.found.oid, self._owned.found.table)
        cursor.execute(make(function, leaving.identifier, "refuse_change"))
        mark = {
            "table": self._owned.found.table,
            "partition": leaving.partition,
            "begins": leaving.begins and leaving.begins.isoformat(),
            "ends": leaving.ends.isoformat(),
        }
        comment = sql.Literal(f"pglog_audit retain {json.dumps(mark, ensure_ascii=False)}")
        cursor.execute(template("mark_detached").format(relation=leaving.identifier, comment=comment))

    def finish(self, leaving: _Leaving) -> Iterator[Retained]:
        """Record what goes, and drop it, unless another call has done so by now."""
        events = self._owned.change(lambda cursor: self._finish(cursor, leaving))
        if events is not None:
            yield Retained(leaving.partition, leaving.begins, leaving.ends, events)

    def _finish(self, cursor: Changing, leaving: _Leaving) -> int | None:
        if leaving.name not in {each.name for each in self._detached(cursor)}:
            return None
        names = {
            "partition": with_parameters(leaving.identifier),
            "retained": self._owned.found.retained,
            "table": self._owned.found.identifier,
        }
        told = {"name": leaving.partition, "begins": leaving.begins, "ends": leaving.ends}
        [recorded] = cursor.execute(template("record_retained").format(**names), told).fetchall()
        cursor.execute(template("record_retain_event").format(**names), told | recorded)
        cursor.execute(template("drop_table").format(table=leaving.identifier))
        return int(recorded["events"])
