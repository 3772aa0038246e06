"""``pglog-audit gaps``: which events are missing, and whether their writers say why."""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import fields, replace
from functools import partial
from typing import Any, get_args
from uuid import UUID

import click

from ..gaps import Gap, GapKind, Gaps
from ..timeline import AuditLog
from .event_csv import csv_row
from .event_json import array_of, json_value, lines_of
from .gap_text import gap_lines, summary
from .options import Once, examples, reading_options
from .screen import open_console, stdout_encoding, write
from .statuses import Failed
from .times import read_time, shown_time

_FIELDS = [field.name for field in fields(Gap)]
_TIMES = ("told_at", "after", "before")


@click.command(
    cls=Once,
    epilog=examples(
        "pglog-audit gaps --since 7d",
        "pglog-audit gaps --unexplained --limit 100000 -o csv > missing.csv",
        "pglog-audit gaps --writer 019cae1f-95b9-7d30-a1c4-6f0b6f6a3c51",
    ),
)
@click.option(
    "--since",
    metavar="TIME",
    help="Only writers with a row at this time or later, each with all its numbers: 2h, 7d (ago), today, yesterday, a "
    "date or an ISO 8601 date-time; local unless --utc is given.",
)
@click.option(
    "--writer", "writer_id", type=click.UUID, metavar="UUID", help="Only this writer, by the writer_id of its rows."
)
@click.option("--unexplained", is_flag=True, help="Only missing events that no row explains.")
@click.option("-n", "--limit", type=click.IntRange(1), default=50, show_default=True, help="How many to show, at most.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json", "jsonl", "csv"]),
    default="table",
    show_default=True,
    help="Lines to read; or with every field: one JSON array, JSON with one object a line, CSV for a spreadsheet.",
)
@reading_options
def gaps(
    conninfo: str,
    table: str,
    columns: dict[str, str],
    output: str,
    since: str | None,
    writer_id: UUID | None,
    limit: int,
    *,
    unexplained: bool,
    utc: bool,
    no_pager: bool,
) -> None:
    """
    Show which events are missing, by the numbers that each writer gives them, and whether it says why.

    The whole table is read. Exit status 1 if events are missing and no row says why. A writer without a stop fails
    nothing: it may be running.
    """
    time = None if since is None else read_time("--since", since, utc=utc)
    found = AuditLog(conninfo, table=table, columns=columns).gaps(since=time, writer_id=writer_id)
    walk = _Walk(found, limit, unexplained=unexplained)
    pager = output == "table" and not no_pager
    write(_pieces(output, map(partial(_with_zone, utc=utc), walk), pager=pager), pager=pager)
    if writer_id is not None and not found.writers:
        raise Failed(f"no row in {table} is of the writer {writer_id}")
    click.echo(summary(walk.found, found.writers), err=True)
    if walk.hidden:
        click.echo(f"{limit} are shown, of {limit + walk.hidden}: repeat the command with a higher --limit", err=True)
    sys.exit(1 if walk.found["unexplained"] else 0)


class _Walk(Iterable[Gap]):
    """The gaps to show; all are counted, since the exit status is that of all."""

    def __init__(self, gaps: Gaps, limit: int, *, unexplained: bool) -> None:
        self._gaps = gaps
        self._limit = limit
        self._kinds = ("unexplained",) if unexplained else get_args(GapKind)
        self.found = Counter[str]()
        """How many there are of each kind, and how many events are missing of each."""
        self.hidden = 0
        """How many were not shown for the limit."""

    def __iter__(self) -> Iterator[Gap]:
        shown = 0
        for gap in self._gaps:
            self.found[gap.kind] += 1
            self.found[f"events {gap.kind}"] += gap.count or 0
            if gap.kind in self._kinds:
                if shown == self._limit:
                    self.hidden += 1
                    continue
                shown += 1
                yield gap


def _with_zone(gap: Gap, *, utc: bool) -> Gap:
    times: dict[str, Any] = {name: shown_time(getattr(gap, name), utc=utc) for name in _TIMES}
    return replace(gap, **times)


def _pieces(output: str, found: Iterable[Gap], *, pager: bool) -> Iterator[str]:
    match output:
        case "json":
            return array_of(map(_object, found))
        case "jsonl":
            return lines_of(map(_object, found))
        case "csv":
            return _csv_rows(found, stdout_encoding())
        case _:
            return gap_lines(found, open_console(pager=pager))


def _object(gap: Gap) -> dict[str, Any]:
    return {name: json_value(getattr(gap, name)) for name in _FIELDS}


def _csv_rows(found: Iterable[Gap], encoding: str) -> Iterator[str]:
    yield csv_row(_FIELDS, encoding)
    for gap in found:
        yield csv_row([getattr(gap, name) for name in _FIELDS], encoding)
