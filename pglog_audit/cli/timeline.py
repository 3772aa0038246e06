"""``pglog-audit timeline``: who did what, newest first."""

import json
import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..event import EVENT_FIELDS, ID_FIELDS, AuditEvent
from ..timeline import MAX_LIMIT, AuditLog
from .options import database_options, pairs
from .terminal import printable

# Date and time of day, half a UUID, most actions; left to itself rich gives every column the same.
_WIDTHS = {"When": len("12:00:00+00:00"), "Who": 18, "Action": 24, "Details": None}
_NARROWEST = 80
_WIDE = 160


@click.command()
@click.option("--event", "event_id", metavar="ID", help="Only what was done under this hosted event.")
@click.option("--user", "user_id", metavar="ID", help="Only what this user did.")
@click.option(
    "-n", "--limit", type=click.IntRange(1, MAX_LIMIT), default=50, show_default=True, help="The length of a page."
)
@click.option(
    "--column",
    "columns",
    multiple=True,
    callback=pairs,
    metavar="FIELD=COLUMN",
    help="The column of a field that has another name there, such as occurred_at=created_at; may be repeated.",
)
@click.option("--cursor", metavar="CURSOR", help="Go on where the page before ended; it told the cursor.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="A table to read, or one JSON array with every field.",
)
@database_options
def timeline(conninfo: str, table: str, columns: dict[str, str], output: str, **question: Any) -> None:
    """Show who did what, newest first."""
    page = AuditLog(conninfo, table=table, columns=columns).timeline(**question)
    if output == "json":
        click.echo(to_json(page))
    elif page:
        render_table(page, Console())
    if not page:
        click.echo(f"No events in {table} match.", err=True)
    if page.next_cursor:
        click.echo(f"There are older events: repeat the command with --cursor {page.next_cursor}", err=True)


def render_table(events: Iterable[AuditEvent], console: Console) -> None:
    """Print *events* on *console* as a table; nothing in them reaches the terminal as markup or control sequence."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    widths = _WIDTHS if _NARROWEST <= console.width < _WIDE else dict.fromkeys(_WIDTHS)
    for name, width in widths.items():
        table.add_column(name, width=width, overflow="fold")
    for event in events:
        table.add_row(*(_cell(lines, console.encoding) for lines in _lines(event)))
    console.print(table)


def to_json(events: Iterable[AuditEvent]) -> str:
    """
    Return *events* as one JSON array in printable ASCII: every field, ids as text, times in ISO 8601.

    ASCII, so that a terminal that shows it is as safe as a program that reads it.
    """
    text = json.dumps([_json_object(event) for event in events], indent=2, allow_nan=False)
    return text.replace("\x7f", "\\u007f")  # DEL is ASCII, and JSON lets it stand


def _lines(event: AuditEvent) -> Iterable[list[Any]]:
    yield [_local(event.occurred_at)]
    yield [event.user_label or event.user_id, _named("impersonated by", event.impersonator_id)]
    outcome = None if event.outcome == "success" else event.outcome
    target = _named(event.entity_type, event.target_label or event.target_id) or event.entity_type
    yield [event.action, outcome, target]
    yield [event.message, _named("event", event.event_id), _named("request", event.request_id)]


def _local(time: Any) -> Any:
    if not isinstance(time, datetime) or time.tzinfo is None:
        return time
    try:
        return time.astimezone().isoformat(" ", "seconds")
    except (OverflowError, ValueError):  # the local time is outside Python's calendar
        return time.isoformat(" ", "seconds")


def _named(name: str | None, value: Any) -> str | None:
    return None if value is None else f"{name or ''} {value}".lstrip()


def _cell(lines: list[Any], encoding: str) -> Text:
    # Text, never str: rich would read markup and emoji codes in a str.
    return Text("\n".join(printable(str(line), encoding) for line in lines if line is not None))


def _json_object(event: AuditEvent) -> dict[str, Any]:
    values = {name: _json_value(getattr(event, name)) for name in (*EVENT_FIELDS, "extra")}
    return values | {name: str(values[name]) for name in {"id", *ID_FIELDS} if values[name] is not None}


def _json_value(value: Any) -> Any:
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case bytes():
            return value.hex()
        case Mapping():
            return {str(name): _json_value(item) for name, item in value.items()}
        case list() | tuple():
            return [_json_value(item) for item in value]
        case datetime():
            return value.isoformat()
        case _:
            return str(value)
