"""What *exact* means: each event whose call returned is one row, or a gap row says why it is none."""

import logging
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from tests.conftest import Database
from tests.support import flush, stats, wait_until

_ALL = "SELECT id, writer_id, writer_seq, action, metadata FROM audit_log ORDER BY writer_id, writer_seq"


@dataclass(frozen=True)
class Trail:
    """What the table says became of the events of all writers."""

    rows: int
    ids: int
    """Different ids of these rows."""
    explained: Counter[str]
    """Events that are no rows, by the reason that gap rows give."""
    wrong: dict[str, list[int]]
    """For each writer the numbers that are neither one row nor explained, or both."""

    @property
    def events(self) -> int:
        """How many events the table knows of."""
        return self.rows + self.explained.total()


def read_trail(database: Database) -> Trail:
    """Read all rows, and compare each writer's with its sequence."""
    rows = database.rows(_ALL)
    logged = [row["id"] for row in rows if not row["action"].startswith("audit.")]
    explained: Counter[str] = Counter()
    for gap in _gaps(rows):
        explained[gap["reason"]] += gap["count"]
    wrong = {str(writer): _wrong_numbers(list(own)) for writer, own in groupby(rows, lambda row: row["writer_id"])}
    return Trail(len(logged), len(set(logged)), explained, {writer: found for writer, found in wrong.items() if found})


def _gaps(rows: Iterable[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    return (row["metadata"] for row in rows if row["action"] == "audit.gap")


def _wrong_numbers(rows: list[dict[str, Any]]) -> list[int]:
    found = Counter(row["writer_seq"] for row in rows if row["writer_seq"])
    for gap in _gaps(rows):
        for first, last in gap["ranges"]:
            found.update(range(first, last + 1))
    return [number for number in range(1, max(found, default=0) + 1) if found[number] != 1]


def settle(logger: logging.Logger) -> None:
    """Wait until nothing of what *logger* took waits, neither in memory nor on disk."""
    flush(logger)
    wait_until(lambda: stats(logger)["oldest_unsent"] is None and stats(logger)["queued"] == 0)


def assert_accounted(database: Database, returned: int, *, killed: int = 0, lost: dict[str, int] | None = None) -> None:
    """
    Check that the table knows of *returned* events, each of them once; wait for the row that tells of a loss.

    :param killed: calls that may have got so far, and did not return.
    :param lost: how many of them are explained, by reason.
    """
    # When it fails, what follows says in which way.
    with suppress(AssertionError):
        wait_until(lambda: read_trail(database).events >= returned)
    trail = read_trail(database)
    assert trail.rows == trail.ids, trail
    assert trail.wrong == {}, trail
    assert dict(trail.explained) == (lost or {}), trail
    assert returned <= trail.events <= returned + killed, trail
