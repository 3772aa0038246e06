"""Ranges of a writer's numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pglog_audit import number_ranges
from pglog_audit.number_ranges import NumberRanges


def ranges_of(numbers):
    """Return the ranges of *numbers*, added one by one."""
    made = NumberRanges()
    for number in numbers:
        made.add(number, number, 1)
    assert made.count == len(numbers)
    return made.ranges


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([], []),
        ([7], [[7, 7]]),
        ([1, 2, 3], [[1, 3]]),
        ([1, 2, 5, 6, 9], [[1, 2], [5, 6], [9, 9]]),
        ([4, 4, 5], [[4, 5]]),
        ([5, 3], [[5, 5], [3, 3]]),
    ],
)
def test_numbers_in_order_make_ranges(numbers, expected):
    """Neighbours share a range, and a jump in either direction begins another."""
    assert ranges_of(numbers) == expected


@given(st.lists(st.integers(1, 50)))
def test_no_number_is_left_out_and_none_invented(numbers):
    """In any order, the ranges hold the numbers that were added, and no others."""
    covered = {n for first, last in ranges_of(numbers) for n in range(first, last + 1)}
    assert covered == set(numbers)


def test_there_is_a_limit(monkeypatch):
    """Where a row has no place for more ranges, the last one is widened and the count stays exact."""
    monkeypatch.setattr(number_ranges, "_MAX_RANGES", 2)
    assert ranges_of([1, 5, 9, 13]) == [[1, 1], [5, 13]]
    assert ranges_of([1, 5, 3]) == [[1, 1], [3, 5]]
