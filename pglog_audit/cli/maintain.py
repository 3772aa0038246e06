"""``pglog-audit maintain``: partitions ahead, guards put right, the default partition drained."""

from collections.abc import Iterator, Sequence

import click

from ..errors import SchemaError
from ..maintenance import Maintained
from ..maintenance import maintain as maintain_table
from .options import Once, database_options, examples
from .owner_connection import owner_connection
from .terminal import printable

_SHOWN = 3
_CURRENT = {"day": "today", "month": "this month", "year": "this year"}


@click.command(
    cls=Once,
    epilog=examples("pglog-audit maintain", "pglog-audit maintain --ahead 24 --dry-run"),
)
@database_options
@click.option(
    "--ahead",
    type=click.IntRange(1, 1200),
    help="How many partitions there shall be after the current one. Default: 30 days, 12 months or 2 years.",
)
@click.option(
    "--cascade",
    is_flag=True,
    help="Drop what others made of the default partition, such as views, where its rows are to be moved.",
)
@click.option("--dry-run", is_flag=True, help="Change nothing, and say what would be done.")
def maintain(conninfo: str, table: str, ahead: int | None, *, cascade: bool, dry_run: bool) -> None:
    """
    Keep the audit table in order: make partitions ahead, put its guards right, and empty the default partition.

    For cron: a second run changes nothing, and writers go on. Connect as the role that owns the table, or as a member
    of it.
    """
    with owner_connection(conninfo) as connection:
        done = maintain_table(connection, table=table, ahead=ahead, cascade=cascade, dry_run=dry_run)
    if lines := list(_would_do(done) if dry_run else _done(done)):
        click.echo("\n".join(lines))
    if done.problems:
        raise SchemaError(". And ".join(done.problems))


def _done(done: Maintained) -> Iterator[str]:
    for each in done.restored[:_SHOWN]:
        yield f"Trigger {each.guard} on {each.relation} {_past(each.fault)}: it is as init makes it again."
    if more := done.restored[_SHOWN:]:
        yield f"So are {_number(len(more), 'more trigger')}."
    if done.made:
        yield f"Made {_partitions(done.made)}."
    if done.moved:
        yield f"Moved {_events(done.moved)} from the default partition to {'theirs' if done.moved > 1 else 'its own'}."
    yield from (f"Dropped {printable(str(each))}, which depended on the default partition." for each in done.dropped)
    if not done.problems:
        reach = f"{_CURRENT[done.step.unit]} and {_number(done.ahead, done.step.unit)} more"
        yield f"{done.table} has partitions for {reach}."


def _would_do(done: Maintained) -> Iterator[str]:
    for each in done.restored[:_SHOWN]:
        yield f"Would make trigger {each.guard} on {each.relation} again, which {each.fault}."
    if more := done.restored[_SHOWN:]:
        yield f"Would make {_number(len(more), 'more trigger')} again."
    if done.made:
        yield f"Would make {_partitions(done.made)}."
    if done.moved:
        yield f"Would move {_events(done.moved)} from the default partition."
    yield from (f"Would drop {printable(str(each))}, which depends on the default partition." for each in done.dropped)
    if not (done.restored or done.made or done.moved or done.problems):
        yield f"Nothing to do for {done.table}."


def _past(fault: str | None) -> str:
    return f"{fault}".replace("is ", "was ", 1).replace("does not call", "did not call")


def _partitions(names: Sequence[str]) -> str:
    return " and ".join(names) if len(names) < 3 else f"{len(names)} partitions, {names[0]} to {names[-1]}"


def _events(count: int) -> str:
    return "1 event" if count == 1 else f"{count:,} events"


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
