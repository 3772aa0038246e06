"""The site as a process of its own, as a process manager would run it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ..errors import AuditError
from .database import DemoDatabase

_STOP_TIMEOUT = 15.0


@dataclass(frozen=True, slots=True)
class SiteProcess:
    """A running site."""

    url: str
    process: subprocess.Popen[str]


@contextmanager
def running_site(database: DemoDatabase) -> Iterator[SiteProcess]:
    """
    Run the site until the block ends, then end it by SIGTERM: what it has not written by then is lost.

    :raises AuditError: it did not start; its own words are on stderr.
    """
    # A session of its own: Ctrl-C in the terminal is for us, who stop the site before its database.
    process = subprocess.Popen(
        [sys.executable, "-m", "pglog_audit.demo"],
        env=_environ(database),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            yield SiteProcess(f"http://127.0.0.1:{_read_port(process)}", process)
        finally:
            _stop(process)


def _environ(database: DemoDatabase) -> dict[str, str]:
    # In the environment, not on the command line, which every user of the machine can read.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PGLOG_AUDIT_")}
    return environ | {"PGLOG_AUDIT_CONNINFO": database.writer, "AUDIT_TABLE": database.table}


def _read_port(process: subprocess.Popen[str]) -> int:
    line = process.stdout.readline() if process.stdout else ""
    if not line:
        raise AuditError("the demo's site did not start: its reason is above")
    return int(line)


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
