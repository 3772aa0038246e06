"""What tests of the spool share."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pglog_audit.spool import Spool
from pglog_audit.spool.segment_reader import Taken

TARGET = "db.example:5432/app public.audit_log"


def made(directory: Path, writer_id: str = "w1", **options: Any) -> Spool:
    """Return a spool in *directory*, which never asks for fsync unless told to."""
    return Spool(directory, TARGET, writer_id, **{"fsync": "never", **options})


def event(n: int, size: int = 0) -> str:
    """Return the line of event *n*, of *size* bytes more than it needs."""
    return json.dumps({"id": f"id-{n}", "action": "ticket.open", "metadata": {"n": n, "text": "é" + "x" * size}})


def events(count: int, size: int = 0) -> list[str]:
    """Return *count* lines."""
    return [event(n, size) for n in range(count)]


def batches(spool: Spool, max_lines: int = 1000, max_bytes: int = 1_000_000) -> Iterator[Taken]:
    """Take and acknowledge all there is."""
    while taken := spool.take(max_lines, max_bytes):
        assert taken.lines or taken.bad
        yield taken
        spool.acknowledge(taken)


def drained(spool: Spool, max_lines: int = 1000) -> list[str]:
    """Return all good lines there are."""
    return [line for taken in batches(spool, max_lines) for line in taken.lines]


def segments(directory: Path) -> list[Path]:
    """Return the segments of all targets in *directory*."""
    return sorted(directory.glob("*/*.spool"))


def leave(directory: Path, lines: list[str], writer_id: str = "dead") -> Path:
    """Leave a segment of *lines* behind, and return its path."""
    spool = made(directory, writer_id)
    before = set(segments(directory))
    assert spool.append(lines) == len(lines)
    spool.close()
    (path,) = set(segments(directory)) - before
    return path


def start(program: str, *arguments: object) -> "subprocess.Popen[str]":
    """Start *program* in a Python of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(program: str, *arguments: object) -> str:
    """Run *program* to its end, and return what it printed."""
    with start(program, *arguments) as process:
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return output
