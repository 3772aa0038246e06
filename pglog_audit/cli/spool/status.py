"""``pglog-audit spool status``: what lies on disk, for which table, since when, and who has it."""

import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.filesize import decimal
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from ...file_locks import lock_holders
from ...spool import SpoolStatus, read_status
from ..event_json import array_of
from ..options import Once, examples, utc_option
from ..screen import open_console, stdout_encoding, write
from ..terminal import printable
from .options import count, directory_argument, find_statuses, name_target, names, open_progress


@click.command(
    cls=Once,
    epilog=examples(
        "pglog-audit spool status /var/lib/app/audit", "pglog-audit spool status /var/lib/app/audit -o json"
    ),
)
@directory_argument
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="A few lines for each table, or one JSON array.",
)
@utc_option
def status(directory: Path, output: str, *, utc: bool) -> None:
    """Show what lies in DIRECTORY for each table, since when, who has it now, and what nobody can replay."""
    statuses = _counted(find_statuses(directory))
    if output == "json":
        write(array_of(map(_json, statuses)))
        return
    for each in statuses:
        _show(each, utc=utc)
    if not statuses:
        click.echo(f"Nothing lies in {directory}.", err=True)


def _counted(statuses: list[SpoolStatus]) -> list[SpoolStatus]:
    """Return *statuses* with the number of lines, for which all segments are read."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with open_progress(*columns) as progress:
        progress.add_task(f"Counting the lines in {decimal(sum(each.bytes for each in statuses))}", total=None)
        return [read_status(each.path, count_lines=True) for each in statuses]


def _show(status: SpoolStatus, *, utc: bool) -> None:
    console, encoding = open_console(), stdout_encoding()
    console.print(Text(printable(name_target(status), encoding), "bold"), soft_wrap=True)
    for name, value in _fields(status, utc=utc):
        console.print(Text(f"  {name:10}  {printable(value, encoding)}"), soft_wrap=True)


def _fields(status: SpoolStatus, *, utc: bool) -> Iterator[tuple[str, str]]:
    yield "directory", str(status.path)
    segments = count(status.segments, "segment")
    yield "waiting", f"{count(status.lines or 0, 'line')} in {segments}, {decimal(status.bytes)} with the rejects"
    if status.oldest is not None:
        yield "oldest", _shown(status.oldest, utc=utc)
    holders = _holders(status)
    if holders is not None and status.segments:
        yield "held by", f"process {names(holders)}" if holders else "nobody: the next writer replays it"
    if status.rejects:
        command = shlex.join(["pglog-audit", "spool", "rejects", str(status.path.parent), "--from", status.path.name])
        yield "rejects", f"{status.rejects:,}: {command}"
    yield from (("unreadable", why) for why in status.unreadable)


def _shown(time: datetime, *, utc: bool) -> str:
    return time.astimezone(UTC if utc else None).isoformat(" ", "seconds")


def _holders(status: SpoolStatus) -> list[int] | None:
    """Return the processes that hold segments; None if the system does not tell."""
    held = lock_holders(status.path.glob("*.spool"))
    return None if held is None else sorted(set(held.values()))


def _json(status: SpoolStatus) -> dict[str, Any]:
    return {
        "target": status.target,
        "directory": str(status.path),
        "segments": status.segments,
        "lines": status.lines,
        "bytes": status.bytes,
        "oldest": status.oldest and status.oldest.isoformat(),
        "holders": _holders(status),
        "rejects": status.rejects,
        "unreadable": list(status.unreadable),
    }
