"""``pglog-audit timeline``: who did what, newest first."""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import click

from ..audit_event import AuditEvent
from ..event import OUTCOMES
from ..timeline import MAX_LIMIT, AuditLog
from .event_csv import csv_rows
from .event_json import json_array, json_lines
from .event_table import table_rows
from .options import Once, examples, reading_options
from .screen import open_console, stdout_encoding, write
from .times import read_time, with_zone

_TIME = "30m, 2h, 7d, 2w (ago), now, today, yesterday, a date or an ISO 8601 date-time; local unless --utc is given."


@click.command(
    cls=Once,
    epilog=examples(
        "pglog-audit timeline --since yesterday --until today --outcome denied",
        "pglog-audit timeline --event 01a20bd2-2f6c-73cc-be33-53b8ac4079dd --action 'branding.*'",
        "pglog-audit timeline --since 2026-03-01 --limit 100000 -o csv > march.csv",
    ),
)
@click.option("--event", "event_id", metavar="ID", help="Only what was done under this hosted event.")
@click.option("--user", "user_id", metavar="ID", help="Only what this user did.")
@click.option("--entity-type", metavar="NAME", help="Only what was done to things of this kind.")
@click.option("--target", "target_id", metavar="ID", help="Only what was done to this thing.")
@click.option("--request", "request_id", metavar="ID", help="Only what this request caused.")
@click.option("--tenant", "tenant_id", metavar="ID", help="Only what belongs to this tenant.")
@click.option(
    "--outcome", type=click.Choice(OUTCOMES), multiple=True, help="Only what ended so; may be repeated for any of them."
)
@click.option("--action", metavar="ACTION", help="Only this action, or with 'branding.*' all below branding.")
@click.option("--since", metavar="TIME", help=f"Only from this time on: {_TIME}")
@click.option("--until", metavar="TIME", help="Only before this time, written as for --since.")
@click.option(
    "-n", "--limit", type=click.IntRange(1), default=50, show_default=True, help="How many events to show, at most."
)
@click.option("--reverse", is_flag=True, help="The oldest first.")
@click.option("--cursor", metavar="CURSOR", help="Go on after the events of the command that told this cursor.")
@click.option("--lifecycle", "include_lifecycle", is_flag=True, help="Also the audit.* rows of the trail about itself.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json", "jsonl", "csv"]),
    default="table",
    show_default=True,
    help="A table to read; or with every field: one JSON array, JSON with one object a line, CSV for a spreadsheet.",
)
@reading_options
def timeline(
    conninfo: str,
    table: str,
    columns: dict[str, str],
    output: str,
    since: str | None,
    until: str | None,
    limit: int,
    cursor: str | None,
    *,
    utc: bool,
    no_pager: bool,
    **question: Any,
) -> None:
    """Show who did what, newest first. The id of each event is for pglog-audit show."""
    bounds = {"since": since, "until": until}
    times = {name: read_time(f"--{name}", text, utc=utc) for name, text in bounds.items() if text is not None}
    walk = _Walk(AuditLog(conninfo, table=table, columns=columns), question | times, limit, cursor)
    pager = output == "table" and not no_pager
    write(_pieces(output, map(partial(with_zone, utc=utc), walk), pager=pager), pager=pager)
    if walk.is_empty:
        click.echo(f"No events in {table} match.", err=True)
    if walk.cursor:
        order = "newer" if question["reverse"] else "older"
        click.echo(f"There are {order} events: repeat the command with --cursor {walk.cursor}", err=True)


class _Walk(Iterable[AuditEvent]):
    """The events that answer a question, up to *limit*, fetched a page at a time."""

    def __init__(self, log: AuditLog, question: dict[str, Any], limit: int, cursor: str | None) -> None:
        self._log = log
        self._question = question
        self._left = limit
        self.cursor = cursor
        """Where the next page begins; None after the last event."""
        self.is_empty = True

    def __iter__(self) -> Iterator[AuditEvent]:
        while self._left:
            page = self._log.timeline(**self._question, limit=min(self._left, MAX_LIMIT), cursor=self.cursor)
            self._left -= len(page)
            self.cursor = page.next_cursor
            self.is_empty = self.is_empty and not page
            yield from page
            if self.cursor is None:
                return


def _pieces(output: str, events: Iterable[AuditEvent], *, pager: bool) -> Iterator[str]:
    match output:
        case "json":
            return json_array(events)
        case "jsonl":
            return json_lines(events)
        case "csv":
            return csv_rows(events, stdout_encoding())
        case _:
            return table_rows(events, open_console(pager=pager))
