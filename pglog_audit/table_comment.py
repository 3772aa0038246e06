"""The comment of the audit table, which every role may read: its schema, and how long its partitions are."""

import re

from .steps import STEPS, Step

_COMMENT = re.compile(r"pglog_audit schema (\d+)\b(?:, (\w+) partitions\b)?")


def write_comment(version: int, step: Step) -> str:
    """Return the comment of a table of that schema, from 2 on."""
    return f"pglog_audit schema {version}, {step.name} partitions: who did what, when; append-only, one row an action"


def read_version(comment: str | None) -> int | None:
    """Return the schema that *comment* tells; None for another program's table."""
    found = _COMMENT.match(comment or "")
    return int(found[1]) if found else None


def read_step(comment: str | None) -> Step:
    """Return the step that *comment* tells; a table of schema 1, which tells none, has months."""
    found = _COMMENT.match(comment or "")
    return STEPS.get((found[2] if found else None) or "monthly", STEPS["monthly"])
