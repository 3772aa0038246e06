"""``pglog-audit retain``: events that are older than they are kept, dropped with their partitions."""

from datetime import UTC, datetime

import click

from ..dependents import WHAT_NOW, tell_dependents
from ..errors import SchemaError
from ..retention import Retained
from ..retention import retain as retain_table
from .options import Once, database_options, examples
from .owner_connection import owner_connection
from .terminal import printable


@click.command(
    cls=Once,
    epilog=examples("pglog-audit retain --keep 24months --dry-run", "pglog-audit retain --keep 90days"),
)
@database_options
@click.option(
    "--keep",
    required=True,
    metavar="TIME",
    help="How long events are kept, such as 24months, 90days, 8weeks or 10years: a partition goes when all of it is "
    "older.",
)
@click.option("--cascade", is_flag=True, help="Drop what others made of a partition, such as views, with it.")
@click.option("--dry-run", is_flag=True, help="Drop nothing, and say what would go.")
def retain(conninfo: str, table: str, keep: str, *, cascade: bool, dry_run: bool) -> None:
    """
    Drop the partitions whose events are all older than they are kept.

    What went stands in a row audit.retain, and gaps knows of it. Run again after whatever ended it, it goes on. Connect
    as the role that owns the table, or as a member of it.
    """
    count, problems = 0, []
    with owner_connection(conninfo) as connection:
        for gone in retain_table(connection, keep, table=table, cascade=cascade, dry_run=dry_run):
            if gone.put_back is not None:
                click.echo(f"Detached, by a run that was ended, is {_told(gone)}. It is kept. This puts it back:")
                click.echo(gone.put_back, nl=False)
            elif gone.in_the_way is not None:
                problems.append(tell_dependents(gone.partition, gone.in_the_way))
            else:
                count += 1
                click.echo(f"{'Would drop' if dry_run else 'Dropped'} {_told(gone)}.")
                for each in gone.dropped:
                    click.echo(f"  with it {printable(str(each))}")
    if problems:
        raise SchemaError(f"{'. And '.join(problems)}. {WHAT_NOW}")
    if not count:
        click.echo(f"Nothing goes: no partition is older than {keep} as a whole.")


def _told(gone: Retained) -> str:
    since = "" if gone.begins is None else f"from {_day(gone.begins)} on, "
    events = "1 event" if gone.events == 1 else f"{gone.events:,} events"
    return f"{gone.partition}: {since}before {_day(gone.ends)}, {events}"


def _day(time: datetime) -> str:
    return time.astimezone(UTC).isoformat().removesuffix("T00:00:00+00:00")
