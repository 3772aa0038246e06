"""What tests of the running trip share: the configuration, what came of it, and programs in processes of their own."""

import logging
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from logging.config import dictConfig
from pathlib import Path
from typing import Any, TypeVar

from psycopg.conninfo import conninfo_to_dict

from pglog_audit import AuditHandler, audit
from tests.conftest import Database

T = TypeVar("T")
PROGRAMS = Path(__file__).parent / "integration" / "programs"
LATEST = 60.0
"""Seconds until a condition that never comes fails its test."""


def wait_until(condition: Callable[[], T], timeout: float = LATEST) -> T:
    """Return the first true result of *condition*."""
    deadline = time.monotonic() + timeout
    while not (result := condition()):
        assert time.monotonic() < deadline, f"waited {timeout} s in vain"
        time.sleep(0.02)
    return result


def config(conninfo: str, **options: Any) -> dict[str, Any]:
    """Return the configuration of one AuditHandler, as the README shows it."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"audit": {"class": "pglog_audit.AuditHandler", "conninfo": conninfo, **options}},
        "loggers": {"audit": {"handlers": ["audit"], "level": "INFO", "propagate": False}},
    }


def configure(conninfo: str, **options: Any) -> logging.Logger:
    """Configure the logger ``audit`` and return it."""
    dictConfig(config(conninfo, **options))
    return logging.getLogger("audit")


def handler_of(logger: logging.Logger) -> AuditHandler:
    """Return the one handler of *logger*."""
    (handler,) = logger.handlers
    assert isinstance(handler, AuditHandler)
    return handler


def stats(logger: logging.Logger) -> dict[str, Any]:
    """Return the counters of the handler of *logger*."""
    return handler_of(logger).stats()


def is_stuck(logger: logging.Logger) -> bool:
    """Tell whether the writer of *logger* knows that it cannot write now."""
    return stats(logger)["problem"] is not None


def log(logger: logging.Logger, count: int, action: str = "ticket.open", **fields: Any) -> None:
    """Log *count* events, numbered in their metadata."""
    for n in range(count):
        logger.info("Ticket opened", extra=audit(action, metadata={"n": n}, **fields))


def log_from_threads(logger: logging.Logger, threads: int, count: int) -> None:
    """Log *count* events from each of several threads, which stand in ``entity_type``."""
    running = [
        threading.Thread(target=log, args=(logger, count), kwargs={"entity_type": f"thread-{n}"})
        for n in range(threads)
    ]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


def flush(logger: logging.Logger, timeout: float = LATEST) -> None:
    """Wait until all that *logger* took is written."""
    assert handler_of(logger).flush(timeout) == 0, stats(logger)


def counts(database: Database, table: str = "audit_log") -> tuple[int, int]:
    """Return how many rows there are of what was logged, and how many different ids."""
    (row,) = database.rows(
        f"SELECT count(*) AS rows, count(DISTINCT id) AS ids FROM {table} WHERE NOT starts_with(action, 'audit.')"
    )
    return row["rows"], row["ids"]


def assert_exact(database: Database, expected: int) -> None:
    """Check that each of *expected* events is one row, and that no writer's numbers have a gap, from the first on."""
    assert counts(database) == (expected, expected)
    writers = database.rows(
        "SELECT count(*) AS rows, count(DISTINCT writer_seq) AS numbers, min(writer_seq), max(writer_seq)"
        " FROM audit_log GROUP BY writer_id"
    )
    assert all(w["min"] in (0, 1) and w["rows"] == w["numbers"] == w["max"] - w["min"] + 1 for w in writers), writers


def sessions(database: Database) -> int:
    """Return how many connections the writer has."""
    (row,) = database.rows(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND usename = %s",
        database.name,
        conninfo_to_dict(database.writer)["user"],
    )
    return int(row["count"])


def writer_threads() -> int:
    """Return how many background threads of ours run."""
    return Counter(thread.name for thread in threading.enumerate())["pglog_audit-writer"]


def warnings(caplog: Any) -> list[str]:
    """Return what the audit trail said about itself."""
    return [r.getMessage() for r in caplog.records if r.name == "pglog_audit"]


def start_program(
    name: str, conninfo: str, *arguments: str, python: Sequence[str] = ("-X", "dev", "-W", "error"), **environ: str
) -> "subprocess.Popen[str]":
    """Start a program of the folder, with the conninfo in its environment."""
    return subprocess.Popen(
        [sys.executable, *python, str(PROGRAMS / name), *arguments],
        env={**os.environ, "PGLOG_AUDIT_CONNINFO": conninfo, **environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_program(
    name: str, conninfo: str, *arguments: str, timeout: float = LATEST, **options: Any
) -> "subprocess.CompletedProcess[str]":
    """Run a program of the folder to its end."""
    with start_program(name, conninfo, *arguments, **options) as process:
        try:
            output, errors = process.communicate(timeout=timeout)
        finally:
            process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)
