"""Segments that writers left in the spool of a handler."""

import json
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

from pglog_audit.backlog import describe_target
from pglog_audit.options import read_options
from pglog_audit.spool import Spool


def lines_of(writer_id: str, count: int, size: int = 0) -> list[str]:
    """Return the lines of *count* events, of *size* bytes more than they need."""
    head = {"writer_id": writer_id, "action": "ticket.open", "occurred_at": time.time(), "outcome": "success"}
    head["metadata"] = {"text": "x" * size}
    return [json.dumps({"id": str(uuid4()), "writer_seq": n, **head}) for n in range(1, count + 1)]


def leave(directory: str, conninfo: str, count: int, size: int = 0) -> tuple[Path, list[str]]:
    """Leave *count* lines of a dead writer for the database of *conninfo*; return their last segment, and them."""
    writer_id = str(uuid4())
    lines = lines_of(writer_id, count, size)
    spool = Spool(directory, target_of(conninfo), writer_id, fsync="never")
    assert spool.append(lines) == count
    spool.close()
    return max(Path(directory).glob(f"*/{writer_id}.*")), lines


def target_of(conninfo: str, **options: Any) -> str:
    """Return what lines are for that a handler with that *conninfo* keeps."""
    return describe_target(read_options(conninfo, options)[0])
