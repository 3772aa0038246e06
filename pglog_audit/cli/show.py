"""``pglog-audit show``: one event with all that its row holds."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from ..audit_event import EVENT_FIELDS, AuditEvent
from ..timeline import AuditLog
from .event_json import json_object, json_value, to_json_text
from .event_table import outcome_style
from .options import Once, examples, reading_options
from .screen import open_console, write
from .statuses import Failed
from .terminal import printable
from .times import with_zone


@click.command(
    cls=Once,
    epilog=examples(
        "pglog-audit show 019cae1f-95b9-7d30-a1c4-6f0b6f6a3c51",
        "pglog-audit show 019cae1f-95b9-7d30-a1c4-6f0b6f6a3c51 -o json",
    ),
)
@click.argument("id", metavar="ID")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="A line for each field, or one JSON object.",
)
@reading_options
def show(
    id: str,  # noqa: A002 - the field's name
    conninfo: str,
    table: str,
    columns: dict[str, str],
    output: str,
    *,
    utc: bool,
    no_pager: bool,
) -> None:
    """Show the event of this ID with every field; timeline tells the ids. Exit status 1 if there is none."""
    event = AuditLog(conninfo, table=table, columns=columns).event(id)
    if event is None:
        raise Failed(f"no event in {table} has the id {id}: pglog-audit timeline --lifecycle shows the ids there are")
    event = with_zone(event, utc=utc)
    pager = output == "table" and not no_pager
    json_text = to_json_text(json_object(event), indent=2) + "\n"
    write([json_text] if output == "json" else _lines(event, open_console(pager=pager)), pager=pager)


def _lines(event: AuditEvent, console: Console) -> Iterator[str]:
    """Yield a line for each field and column of the user's, and more where its value has parts; NULL is nothing."""
    values = [*((name, getattr(event, name)) for name in EVENT_FIELDS), *event.extra.items()]
    names = [Text(printable(name, console.encoding), "bold") for name, _ in values]
    width = max(name.cell_len for name in names) + 2
    for name, (field, value) in zip(names, values, strict=True):
        name.pad_right(width - name.cell_len)
        line = Text.assemble(name, Text("\n" + " " * width).join(_texts(field, value, console, width)))
        line.rstrip()
        with console.capture() as captured:
            console.print(line, soft_wrap=True)
        yield captured.get()


def _texts(field: str, value: Any, console: Console, indent: int) -> Iterator[Text]:
    style = outcome_style(value) if field == "outcome" else ""
    for part in _parts(field, value, console.encoding):
        text = Text(printable(part, console.encoding), style)
        # A terminal would go on at its left edge, where a long value could pass for the next field.
        room = max(console.width - indent, 10) if console.is_terminal else max(text.cell_len, 1)
        yield from text.wrap(console, room, overflow="fold")


def _parts(field: str, value: Any, encoding: str) -> list[str]:
    if value is None:
        return []
    if field == "changes" and isinstance(value, Mapping) and value:
        arrow = "\u2192" if encoding.startswith("utf") else "->"
        return [f"{name}: {_change(change, arrow)}" for name, change in value.items()]
    if isinstance(value, Mapping | list):
        return _json(value, indent=2).split("\n")
    return [value.isoformat(" ") if isinstance(value, datetime) else str(json_value(value))]


def _change(change: Any, arrow: str) -> str:
    if isinstance(change, list) and len(change) == 2:
        return f"{_json(change[0])} {arrow} {_json(change[1])}"
    return _json(change)


def _json(value: Any, indent: int | None = None) -> str:
    # Names of people stay readable: what a terminal must not see is escaped later.
    return json.dumps(json_value(value), ensure_ascii=False, indent=indent)
