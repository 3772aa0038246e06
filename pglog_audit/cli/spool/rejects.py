"""``pglog-audit spool rejects``: the lines that no table took, and why."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from ... import lines
from ...spool import Reject, SpoolStatus, read_rejects
from ..event_csv import csv_row
from ..event_json import array_of, lines_of
from ..options import Once, examples, screen_options
from ..screen import open_console, stdout_encoding, write
from ..terminal import printable
from ..times import shown_time
from .options import directory_argument, find_statuses, subdirectory_option

_FIELDS = ("action", "user_id", "event_id", "id")
_COLUMNS = ("directory", "time", "sqlstate", "reason", *_FIELDS, "line")
_INDENT = 4


@click.command(
    cls=Once,
    epilog=examples(
        "pglog-audit spool rejects /var/lib/app/audit",
        "pglog-audit spool rejects /var/lib/app/audit -o jsonl | jq -r .line",
    ),
)
@directory_argument
@subdirectory_option("Only what lies in this subdirectory of DIRECTORY. Default: the rejects of all tables.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json", "jsonl", "csv"]),
    default="table",
    show_default=True,
    help="To read; or with the whole line: one JSON array, JSON with one object a line, CSV for a spreadsheet.",
)
@screen_options
def rejects(directory: Path, subdirectory: str | None, output: str, *, utc: bool, no_pager: bool) -> None:
    """Show the lines that the tables took in no form, when and why. They lie in *.rejects in each subdirectory."""
    statuses = [each for each in find_statuses(directory, subdirectory) if each.rejects]
    pager = output == "table" and not no_pager
    write(_pieces(output, _facts(statuses, utc=utc), pager=pager), pager=pager)
    if not statuses:
        click.echo(f"No rejects lie in {directory}.", err=True)


def _facts(statuses: Iterable[SpoolStatus], *, utc: bool) -> Iterator[Mapping[str, Any]]:
    """Yield what is known of each reject, a text or None by the names of the columns."""
    for status in statuses:
        for reject in read_rejects(status.path):
            time = shown_time(reject.time, utc=utc)
            yield {
                "directory": status.path.name,
                "time": time and time.isoformat(" ", "seconds"),
                "sqlstate": reject.sqlstate,
                "reason": reject.reason,
                **_event(reject),
                "line": reject.line,
            }


def _event(reject: Reject) -> Mapping[str, str | None]:
    """Return what its line says of the event; nothing if it is none."""
    try:
        event = lines.parse(reject.line)
    except (ValueError, RecursionError):
        event = {}
    values = event if isinstance(event, dict) else {}
    return {name: None if values.get(name) is None else str(values[name]) for name in _FIELDS}


def _pieces(output: str, facts: Iterator[Mapping[str, Any]], *, pager: bool) -> Iterator[str]:
    match output:
        case "json":
            return array_of(facts)
        case "jsonl":
            return lines_of(facts)
        case "csv":
            return _csv(facts, stdout_encoding())
        case _:
            return _table(facts, open_console(pager=pager))


def _csv(facts: Iterable[Mapping[str, Any]], encoding: str) -> Iterator[str]:
    yield csv_row(_COLUMNS, encoding)
    for each in facts:
        yield csv_row((each[name] for name in _COLUMNS), encoding)


def _table(facts: Iterable[Mapping[str, Any]], console: Console) -> Iterator[str]:
    """Yield for each reject a line with time and action, and below it why it is one and whose event it was."""
    for each in facts:
        ids = {"user": each["user_id"], "event": each["event_id"], "id": each["id"]}
        state = f" ({each['sqlstate']})" if each["sqlstate"] and str(each["sqlstate"]) not in each["reason"] else ""
        with console.capture() as captured:
            console.print(
                _text(each["time"] or "time unknown", console)
                + _text(f"  {each['action'] or 'no event'}", console, "bold")
            )
            for detail in (f"{each['reason']}{state}", *(f"{name} {value}" for name, value in ids.items() if value)):
                _print_indented(detail, console)
        yield captured.get()


def _text(text: str, console: Console, style: str = "") -> Text:
    return Text(printable(text, console.encoding), style)


def _print_indented(text: str, console: Console) -> None:
    # A terminal would go on at its left edge, where a long value could pass for the next reject.
    shown = _text(text, console)
    for line in shown.wrap(console, max(console.width - _INDENT, 10), overflow="fold"):
        console.print(Text(" " * _INDENT) + line, soft_wrap=True)
