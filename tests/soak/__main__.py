"""The command: run, stop killing, let what is left be replayed, and prove."""

import math
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import psycopg

from pglog_audit import schema
from pglog_audit.errors import AuditError
from pglog_audit.local_postgres import LocalPostgres
from tests.conftest import WRITER, Database
from tests.faults.conftest import QUICK, database_of
from tests.soak.crew import Crew
from tests.soak.proof import Check, prove
from tests.soak.run import Run

_MOST_SHOWN = 20
_REPLAY = "from pglog_audit.cli import main; main()"


def _finite(_context: click.Context, _parameter: click.Parameter, value: float) -> float:
    if not math.isfinite(value):
        raise click.BadParameter(f"{value} is no length of time: give a number.")
    return value


_POSITIVE: dict[str, Any] = {"type": click.FloatRange(0, min_open=True), "callback": _finite, "show_default": True}


@click.command("python -m tests.soak", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--minutes", default=2.0, help="How long the processes log.", **_POSITIVE)
@click.option("--kill-every", default=10.0, metavar="SECONDS", help="How often one of them is killed.", **_POSITIVE)
@click.option("--seed", type=int, help="Repeat what was drawn by lot in the run that told this seed.")
def main(minutes: float, kill_every: float, seed: int | None) -> None:
    """
    Kill processes that log and their database at random, and prove that no event is lost whose call returned.

    Exit status: 0 proven, 1 not, and then the directory with data, spool and words is kept.
    """
    if sys.platform != "linux":
        raise click.ClickException("this program halts processes and looks at their state in /proc: run it on Linux")
    seed = secrets.randbelow(1_000_000) if seed is None else seed
    click.echo(f"seed {seed}")
    with _home() as home:
        checks = _soak(home, minutes * 60, kill_every, seed)
        _show(checks)
        if any(check.wrong for check in checks):
            raise click.ClickException("not proven")


@contextmanager
def _home() -> Iterator[Path]:
    """Give the run a directory, and keep it unless all is well."""
    home = Path(tempfile.mkdtemp(prefix="pglog-audit-soak-"))
    home.chmod(0o711)  # the server of root is another user's
    try:
        yield home
    except BaseException as error:
        click.echo(f"{home} is kept.", err=True)
        if isinstance(error, AuditError | psycopg.Error):
            raise click.ClickException(str(error)) from error
        raise
    shutil.rmtree(home)


def _soak(home: Path, seconds: float, kill_every: float, seed: int) -> list[Check]:
    """Return what is proven about a run in the directory *home*."""
    with LocalPostgres(directory=home, settings={"recovery_init_sync_method": "syncfs"}) as server:
        database = _make_database(server)
        options = {**QUICK, "spool": str(home / "spool"), "journal": True, "shutdown_timeout": 30}
        crew = Crew(database.writer, options, home, seed)
        try:
            run = Run(server, database, crew, seconds=seconds, kill_every=kill_every, seed=seed, tell=click.echo)
            run.run()
            crew.end()
            replayed = _replay(home / "spool", database)
            return [_told(run, crew), replayed, *prove(database, crew.members, home / "spool")]
        finally:
            crew.close()


def _make_database(server: LocalPostgres) -> Database:
    database = database_of(server)
    with psycopg.connect(server.conninfo(), autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {WRITER} LOGIN")
        connection.execute(f"CREATE DATABASE {database.name}")
    with psycopg.connect(database.owner) as connection:
        schema.init(connection, writer=WRITER)
    return database


def _replay(spool: Path, database: Database) -> Check:
    """Run ``pglog-audit spool replay``, for what the last killed processes left."""
    command = [sys.executable, "-c", _REPLAY, "spool", "replay", str(spool), "--conninfo", database.writer]
    done = subprocess.run(command, capture_output=True, text=True)
    return Check("replay", done.stdout.strip(), (done.stderr.strip(),) if done.returncode else ())


def _told(run: Run, crew: Crew) -> Check:
    faults = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in sorted(run.faults.items()))
    return Check("run", f"{crew.returned:,} calls returned; {crew.kills} kills, {run.restarts} restarts; {faults}")


def _show(checks: Sequence[Check]) -> None:
    for check in checks:
        click.echo(f"{'wrong' if check.wrong else 'ok':6} {check.name:8} {'' if check.wrong else check.figure}")
        for sentence in check.wrong[:_MOST_SHOWN]:
            click.echo(f"{'':15} {sentence}")
        if len(check.wrong) > _MOST_SHOWN:
            click.echo(f"{'':15} and {len(check.wrong) - _MOST_SHOWN:,} more")


if __name__ == "__main__":
    main()
