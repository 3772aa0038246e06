"""What a writer's gap rows claim: which of its numbers are no rows, why, and how many events these are."""

import heapq
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, groupby
from typing import Any, TypeAlias

MAX_TEXT = 100_000
"""Characters of the longest metadata that can be read: a writer's own have half of it."""

_MAX_SEQ = 2**63 - 1
_MAX_DIGITS = len(str(_MAX_SEQ))
_MAX_REASON = 100

Piece: TypeAlias = "tuple[int, int, Claim | None]"


@dataclass(eq=False, slots=True)
class Claim:
    """A gap row that can be read."""

    reason: str
    ranges: list[tuple[int, int]]
    left: int
    """How many more missing numbers it explains: among its ranges may be events that are rows."""
    row_id: str | None
    told_at: str | None


def read_claim(metadata: str | None, row_id: str | None = None, told_at: str | None = None) -> Claim | None:
    """
    Return what the gap row with *metadata* claims; None if no writer of ours wrote it.

    Anybody who may insert can forge one.
    """
    try:
        match json.loads(metadata or "", parse_int=_integer):
            case {"reason": str(reason), "ranges": [_, *_] as ranges, "count": int(number)} if _is_seq(number):
                return Claim(reason[:_MAX_REASON], [_range(*each) for each in ranges], number, row_id, told_at)
    except (TypeError, ValueError, RecursionError):
        pass
    return None


def _integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise ValueError("jsonb holds numbers with more digits than Python converts")
    return int(digits)


def _range(first: Any, last: Any) -> tuple[int, int]:
    if not (_is_seq(first) and _is_seq(last) and first <= last):
        raise ValueError("these are no two numbers of a writer")
    return first, last


def _is_seq(value: Any) -> bool:
    return type(value) is int and 0 <= value <= _MAX_SEQ


class Claims:
    """
    The claims of one writer, to be held against its missing numbers in their order.

    Where several claim a number, the one whose range ends first explains it, so that the others last longer.
    """

    def __init__(self) -> None:
        self._order = count()
        self._coming: list[tuple[int, int, int, Claim]] = []
        """First and last number of each range that is not reached yet; by its first."""
        self._open: list[tuple[int, int, Claim]] = []
        """Last number of each range that is reached; by it."""

    def add(self, claim: Claim) -> None:
        """Take *claim*; all come before the first missing number."""
        for first, last in claim.ranges:
            heapq.heappush(self._coming, (first, last, next(self._order), claim))

    def split(self, first: int, last: int) -> Iterator[Piece]:
        """Return the parts of the missing numbers from *first* to *last*, each with the claim that explains it."""
        for claim, pieces in groupby(self._pieces(first, last), key=lambda piece: piece[2]):
            ranges = list(pieces)
            yield ranges[0][0], ranges[-1][1], claim

    def _pieces(self, first: int, last: int) -> Iterator[Piece]:
        while first <= last:
            end, claim = self._next(first, last)
            yield first, end, claim
            first = end + 1

    def _next(self, seq: int, last: int) -> tuple[int, Claim | None]:
        """Return the claim that explains *seq*, and until where."""
        while self._coming and self._coming[0][0] <= seq:
            _, end, order, claim = heapq.heappop(self._coming)
            heapq.heappush(self._open, (end, order, claim))
        while self._open and (self._open[0][0] < seq or not self._open[0][2].left):
            heapq.heappop(self._open)
        if self._coming:
            last = min(last, self._coming[0][0] - 1)
        if not self._open:
            return last, None
        end, _, claim = self._open[0]
        end = min(last, end, seq + claim.left - 1)
        claim.left -= end - seq + 1
        return end, claim
