"""What became of lines that were sent to the database."""

from dataclasses import dataclass, field

from .verdict import Verdict

MAX_BATCH_BYTES = 4 * 1024 * 1024
"""Bytes of a statement at most, but for one line: PostgreSQL refuses a parameter of 270 MB with 54000."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A line that the table takes in no form, though it takes others."""

    line: str
    sqlstate: str | None
    reason: str


@dataclass(slots=True)
class Written:
    """What became of the lines of one batch."""

    stored: int = 0
    duplicates: int = 0
    refused: list[Refusal] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    """Lines to try again later."""
    problem: str | None = None
    """Why lines are left, or the last reason for a refusal."""
    verdict: Verdict | None = None
