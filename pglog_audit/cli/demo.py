"""``pglog-audit demo``: a site, its users and its audit log, on a PostgreSQL of its own."""

import re
import shlex
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module
from types import FrameType

import click

from ..audit_event import AuditEvent
from ..demo.database import DemoDatabase, guest_database, private_database
from ..demo.process import SiteProcess, running_site
from ..demo.tour import Reply, Visitor, find_event, tour
from ..errors import AuditError, ConfigurationError, SchemaError
from ..timeline import MAX_LIMIT, AuditLog
from .event_table import table_rows
from .options import Once, examples, given_conninfo
from .screen import open_console, write
from .times import with_zone

_ROWS_TIMEOUT = 10.0
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]

_KEPT = """
The site is running until you press Ctrl-C; then it is stopped, and its audit log removed.

The site:        {url}/events
Do something:    curl -X PATCH -b user=alice -d '{{"logo": "autumn.svg"}}' {url}/events/{event}/branding
Read the log:    pglog-audit timeline {flags}
Ask the table:   psql {conninfo}   (TABLE {table};)
"""


@click.command(
    cls=Once,
    epilog=examples("pglog-audit demo", "pglog-audit demo --keep --conninfo postgresql://postgres@localhost/app"),
)
@click.option("--keep", is_flag=True, help="Leave site and database running until Ctrl-C, and say how to use them.")
@click.option(
    "--conninfo",
    callback=given_conninfo,
    metavar="CONNINFO",
    help="Use this database instead of a private server: the demo makes a schema and a role there, and drops them at "
    "its end.",
)
def demo(conninfo: str | None, *, keep: bool) -> None:
    """
    Run a small site on a PostgreSQL of its own, use it, and show its audit log.

    Nothing stays behind. Exit status 1 if a request is missing in the log.
    """
    for name in ("starlette", "uvicorn"):
        import_module(name)  # the site's process needs them; missing, they are told from here in one line
    try:
        with _orderly_end():
            complete = _run(conninfo, keep=keep)
    except (ConfigurationError, SchemaError):
        raise
    except AuditError as error:
        raise click.ClickException(str(error)) from error
    sys.exit(not complete)


def _run(conninfo: str | None, *, keep: bool) -> bool:
    with _database(conninfo) as database, ExitStack() as running:
        site = running.enter_context(running_site(database))
        visitor = Visitor(site.url)
        event_id = find_event(visitor)
        replies = list(_show(tour(visitor, event_id)))
        if not keep:
            # By SIGTERM: the rows that follow are those that the middleware wrote before the site's process ended.
            running.close()
        events = _events(database, event_id, len(replies), timeout=_ROWS_TIMEOUT if keep else 0)
        click.echo("\nThe audit log, newest first:\n")
        write(table_rows((with_zone(event, utc=False) for event in events), open_console()))
        complete = _compare(replies, events)
        if keep:
            _keep(site, database, event_id)
    return complete


@contextmanager
def _orderly_end() -> Iterator[None]:
    """Make the first signal an exception, so that everything is put away, and ignore those that come meanwhile."""

    def end(number: int, _frame: FrameType | None) -> None:
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)

    before = {each: signal.signal(each, end) for each in _SIGNALS}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextmanager
def _database(conninfo: str | None) -> Iterator[DemoDatabase]:
    click.echo("Starting PostgreSQL ..." if conninfo is None else "Making a schema for the demo ...")
    with private_database() if conninfo is None else guest_database(conninfo) as database:
        if database.note:
            click.echo(database.note)
        yield database


def _show(replies: Iterator[Reply]) -> Iterator[Reply]:
    click.echo("\nWhat the users did, and the X-Request-ID of each response:\n")
    for reply in replies:
        path = _ID.sub("*", reply.path).removeprefix("/events/*")
        click.echo(f"  {reply.user:5} {reply.method:6} {path:18} {reply.status} {reply.request_id}")
        yield reply


def _events(database: DemoDatabase, event_id: str, expected: int, *, timeout: float) -> Sequence[AuditEvent]:
    """Read the event's rows; while the site is running they may take a moment to arrive."""
    log = AuditLog(database.owner, table=database.table)
    deadline = time.monotonic() + timeout
    while True:
        page = log.timeline(event_id=event_id, limit=MAX_LIMIT)
        if len(page) >= expected or time.monotonic() >= deadline:
            return page
        time.sleep(0.05)


def _compare(replies: Sequence[Reply], events: Sequence[AuditEvent]) -> bool:
    answered = sorted(reply.request_id for reply in replies)
    logged = sorted(str(event.request_id) for event in events)
    if answered == logged:
        click.echo(f"\n{len(replies)} requests, {len(events)} rows, and in each row the request id of its response.")
        return True
    click.echo(f"\nThe request ids differ. In responses: {', '.join(answered)}", err=True)
    click.echo(f"In rows: {', '.join(logged) or 'none'}", err=True)
    return False


def _keep(site: SiteProcess, database: DemoDatabase, event_id: str) -> None:
    flags = ["--conninfo", database.shown] + ([] if database.table == "audit_log" else ["--table", database.table])
    parts = {"flags": shlex.join(flags), "conninfo": shlex.quote(database.shown), "table": database.table}
    click.echo(_KEPT.format(url=site.url, event=event_id, **parts))
    with suppress(KeyboardInterrupt):
        site.process.wait()
