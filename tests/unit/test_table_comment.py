"""The comment of the audit table: what is written there is read again."""

import pytest

from pglog_audit.steps import STEPS
from pglog_audit.table_comment import read_step, read_version, write_comment


@pytest.mark.parametrize(
    ("comment", "name"),
    [
        ("pglog_audit schema 2, daily partitions: who did what", "daily"),
        ("pglog_audit schema 1: who did what", "monthly"),
        ("pglog_audit schema 3, hourly partitions: later", "monthly"),
        (None, "monthly"),
    ],
)
def test_the_comment_tells(comment: str | None, name: str) -> None:
    """A table of schema 1 has months."""
    assert read_step(comment) is STEPS[name]


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_what_is_written_is_read(step) -> None:
    """Version and step come back."""
    comment = write_comment(12, step)
    assert (read_version(comment), read_step(comment)) == (12, step)


@pytest.mark.parametrize("comment", [None, "", "our log", "see pglog_audit schema 2", "pglog_audit schema x"])
def test_another_programs_comment_tells_no_version(comment: str | None) -> None:
    """A table is ours if its comment begins so."""
    assert read_version(comment) is None
