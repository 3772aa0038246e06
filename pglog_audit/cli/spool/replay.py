"""``pglog-audit spool replay``: rows of what dead writers left on disk."""

import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from ... import diagnostics
from ...backlog import describe_target
from ...errors import AuditError, SchemaError, SpoolError, UnreachableError
from ...file_locks import lock_holders
from ...leftovers import Leftovers, LeftoversDone
from ...postgres_handler import PostgresHandler
from ...spool import Spool, SpoolStatus, read_status
from ...spool.directory import directory_name
from ...verdict import Verdict
from ..options import Once, column_option, database_options, examples
from ..terminal import printable
from .options import check_owner, count, directory_argument, find_statuses, names, open_progress, subdirectory_option

_LATER = (Verdict.AWAY, Verdict.RETRY, Verdict.SMALLER)


@click.command(
    cls=Once,
    epilog=examples(
        "pglog-audit spool replay /var/lib/app/audit --conninfo postgresql://app@db/app",
        "pglog-audit spool replay /var/lib/app/audit --from host-old-dbname-app-table-audit-log-5d5b09f6dcb2",
    ),
)
@directory_argument
@subdirectory_option(
    "Only what lies in this subdirectory of DIRECTORY, whatever database and table it is for. Default: what is for the "
    "database and table named here, by the same host, port and name."
)
@click.option(
    "--reject",
    is_flag=True,
    help="The table is in order: what it refuses goes to the rejects, also where it took no line that would prove it.",
)
@column_option
@database_options
def replay(
    directory: Path,
    subdirectory: str | None,
    conninfo: str,
    table: str,
    columns: Mapping[str, str],
    *,
    reject: bool,
) -> None:
    """
    Make rows of the lines that dead writers left in DIRECTORY.

    The application may run meanwhile, and so may this command more than once: each segment is replayed by one of them,
    and removed when all of it is dealt with. What is a row already makes no second one. Run it as the user that the
    application runs as. Exit status: 1 lines are left that nobody replays, 3 no database, 4 the table does not fit.
    """
    handler = PostgresHandler(conninfo, table=table, columns=columns)
    found = _find(directory, subdirectory, describe_target(handler.options))
    if found is None:
        click.echo(f"No lines wait in {directory} for {subdirectory or describe_target(handler.options)}.")
        return
    path, target = found
    spool = Spool(directory, target, handler.writer_id, max_bytes=sys.maxsize)
    leftovers = Leftovers(spool, handler.write, others_fit=reject)
    try:
        with _progress(path) as progress:
            unheld = _replay(leftovers, progress, path)
    finally:
        spool.close()
        handler.close()
    _tell(leftovers.done, path, unheld)


def _find(directory: Path, subdirectory: str | None, target: str) -> tuple[Path, str] | None:
    """
    Return where lines lie for *target*, or *subdirectory*, and what they are for; None if there are none.

    :raises SpoolError: they are not ours, or those that there are are for another target.
    """
    found = [each for each in find_statuses(directory, subdirectory) if each.segments]
    own = found if subdirectory else [each for each in found if each.path.name == directory_name(target)]
    if not own:
        if found:
            raise SpoolError(_for_others(found, target))
        return None
    [status] = own
    check_owner(status.path)
    name = directory_name(status.target or target)
    if name == status.path.name:
        return status.path, status.target or target
    if status.target is None:
        raise SpoolError(f"{status.path} does not tell what it is for: {'; '.join(status.unreadable) or 'it is empty'}")
    raise SpoolError(f"{status.path} was renamed: for {status.target} it must be {name}; rename it back")


def _for_others(found: Sequence[SpoolStatus], target: str) -> str:
    first, more = found[0], len(found) - 1
    also = f" and {count(more, 'other table')}" if more else ""
    return (
        f"no lines wait for {target}, but {count(first.segments, 'segment')} for {first.target}{also}: if that is now "
        f"this table, add --from {first.path.name}"
    )


@contextmanager
def _progress(path: Path) -> Iterator[Progress]:
    """Show how many of the lines in *path* are done, and what is warned about, on stderr."""
    columns = (TextColumn("Replaying"), BarColumn(), MofNCompleteColumn(), TextColumn("lines"), TimeRemainingColumn())
    with open_progress(*columns) as progress:
        progress.add_task("", total=read_status(path, count_lines=True).lines)
        shown = _Warnings(progress)
        diagnostics.logger.addHandler(shown)
        try:
            yield progress
        finally:
            diagnostics.logger.removeHandler(shown)


class _Warnings(logging.Handler):
    """Show warnings above the progress, with nothing in them that a terminal would act on."""

    def __init__(self, progress: Progress) -> None:
        super().__init__(logging.WARNING)
        self._console = progress.console

    def emit(self, record: logging.LogRecord) -> None:
        self._console.print(Text(printable(record.getMessage(), self._console.encoding)), soft_wrap=True)


def _replay(leftovers: Leftovers, progress: Progress, path: Path) -> set[Path]:
    """Replay, and return the segments that are left though nobody has them."""
    seen = set(path.glob("*.spool"))
    # Twice: what somebody just begins to replay, or has replayed, may look left behind, but not a second time.
    for _ in range(2):
        for replayed in leftovers.steps():
            progress.update(progress.task_ids[0], completed=replayed.lines)
        seen &= _unheld(path)
    return seen


def _unheld(path: Path) -> set[Path]:
    """Return the segments that no process has; none if the system does not tell."""
    segments = set(path.glob("*.spool"))
    holders = lock_holders(segments)
    return set() if holders is None else {each for each in segments - holders.keys() if each.exists()}


def _tell(done: LeftoversDone, path: Path, unheld: set[Path]) -> None:
    """
    Say how it ended.

    :raises AuditError: not all is done, and nobody else does the rest.
    """
    rejected = f" (pglog-audit spool rejects {path.parent})" if done.rejected else ""
    told = (
        f"{count(done.lines, 'line')} replayed: {count(done.stored, 'new row')}, {done.duplicates:,} "
        f"rows already, {done.rejected:,} rejected{rejected}"
    )
    if done.problem is not None:
        left = read_status(path, count_lines=True).lines or 0
        raise _error(done)(f"{count(left, 'line')} left, because {done.problem}; {told}")
    if unheld:
        why = "; ".join(read_status(path).unreadable) or "see the warnings"
        raise SpoolError(f"{count(len(unheld), 'segment')} left in {path}: {why}; {told}")
    click.echo(f"{told}{_held(list(path.glob('*.spool')))}.")


def _error(done: LeftoversDone) -> type[AuditError]:
    if done.verdict is None:
        return SpoolError
    return UnreachableError if done.verdict in _LATER else SchemaError


def _held(segments: Sequence[Path]) -> str:
    """Say who has *segments*, which are left to whoever that is."""
    if not segments:
        return ""
    holders = lock_holders(segments)
    process = f"process {names(sorted(set(holders.values())))}" if holders else "other processes"
    return f"; {count(len(segments), 'segment')} left to {process}, which stores them"
