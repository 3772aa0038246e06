"""What gap rows claim, and which missing numbers they explain: without a server."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pglog_audit.gap_claims import MAX_TEXT, Claim, Claims, read_claim
from pglog_audit.number_ranges import NumberRanges

LOST = {"reason": "queue full", "ranges": [[5, 9]], "count": 5}
BIGGEST = 2**63 - 1


def claim(*ranges: tuple[int, int], count: int = 1_000_000, reason: str = "exit") -> Claim:
    return Claim(reason, list(ranges), count, None, None)


def split(claims: list[Claim], *missing: tuple[int, int]) -> list[tuple[int, int, str | None]]:
    """Return the parts of the *missing* ranges, each with the reason of the claim that explains it."""
    held = Claims()
    for each in claims:
        held.add(each)
    return [(begin, end, found and found.reason) for each in missing for begin, end, found in held.split(*each)]


class TestReading:
    def test_a_writers_own_row_is_read(self) -> None:
        """Reason, ranges and count come out as the writer put them in."""
        read = read_claim(json.dumps(LOST), "id", "noon")
        assert read is not None
        assert (read.reason, read.ranges, read.left, read.row_id, read.told_at) == (
            "queue full",
            [(5, 9)],
            5,
            "id",
            "noon",
        )

    def test_the_longest_row_of_a_writer_is_read(self) -> None:
        """As many ranges as a writer tells in one row, of the biggest numbers, are not too long."""
        ranges = NumberRanges()
        for number in range(BIGGEST - 2_000_000, BIGGEST, 2):
            ranges.add(number, number, 1)
        metadata = json.dumps({"reason": "r" * 100, "ranges": ranges.ranges, "count": ranges.count})
        assert len(metadata) <= MAX_TEXT
        assert read_claim(metadata) is not None

    @pytest.mark.parametrize(
        "metadata",
        [
            None,
            "",
            "null",
            "5",
            "[]",
            '"x"',
            "{}",
            json.dumps(LOST)[:-1],
            *(
                json.dumps(LOST | forged)
                for forged in (
                    {"reason": None},
                    {"reason": 5},
                    {"ranges": []},
                    {"ranges": {}},
                    {"ranges": "5-9"},
                    {"ranges": [5, 9]},
                    {"ranges": [[5]]},
                    {"ranges": [[5, 9, 10]]},
                    {"ranges": [["5", "9"]]},
                    {"ranges": [[5.0, 9.0]]},
                    {"ranges": [[True, True]]},
                    {"ranges": [[9, 5]]},
                    {"ranges": [[-1, 5]]},
                    {"ranges": [[1, BIGGEST + 1]]},
                    {"ranges": [[5, 9], None]},
                    {"ranges": [{"5": 9, "6": 9}]},
                    {"ranges": ["59"]},
                    {"count": None},
                    {"count": "5"},
                    {"count": 5.5},
                    {"count": True},
                    {"count": -1},
                    {"count": BIGGEST + 1},
                )
            ),
            '{"reason": "x", "ranges": [[1, 1%s]], "count": 1}' % ("0" * 20_000),
            '{"reason": "x", "ranges": ' + "[" * 50_000 + "1" + "]" * 50_000 + ', "count": 1}',
        ],
        ids=lambda metadata: str(metadata)[:60],
    )
    def test_what_no_writer_wrote_claims_nothing(self, metadata: str | None) -> None:
        """A forged row is told from a writer's own, whatever it holds."""
        assert read_claim(metadata) is None

    def test_a_long_reason_is_cut(self) -> None:
        """Nobody fills a screen with the reason of a forged row."""
        read = read_claim(json.dumps(LOST | {"reason": "x" * 10_000}))
        assert read is not None
        assert read.reason == "x" * 100


class TestSplitting:
    def test_without_a_claim_nothing_is_explained(self) -> None:
        """The range stays whole."""
        assert split([], (5, 9)) == [(5, 9, None)]

    def test_a_claim_explains_what_it_names(self) -> None:
        """What it does not name stays unexplained, before and behind."""
        assert split([claim((6, 7))], (5, 9)) == [(5, 5, None), (6, 7, "exit"), (8, 9, None)]

    def test_a_claim_explains_what_is_missing_alone(self) -> None:
        """Of a range with rows in it only the rest is told."""
        assert split([claim((1, 20))], (5, 6), (9, 9)) == [(5, 6, "exit"), (9, 9, "exit")]

    def test_a_claim_explains_as_many_as_it_counts(self) -> None:
        """Where more are missing than the row counts, the rest is unexplained."""
        assert split([claim((1, 20), count=3)], (5, 6), (9, 12)) == [(5, 6, "exit"), (9, 9, "exit"), (10, 12, None)]

    def test_the_ranges_of_a_claim_have_one_count(self) -> None:
        """The count is that of the row, not that of each range."""
        assert split([claim((1, 2), (5, 6), count=3)], (1, 2), (5, 6)) == [(1, 2, "exit"), (5, 5, "exit"), (6, 6, None)]

    def test_claims_that_overlap_share(self) -> None:
        """A number that two rows claim takes from the one that explains less of what follows."""
        claims = [claim((1, 20), count=2, reason="conflict"), claim((3, 6), count=3, reason="queue full")]
        assert split(claims, (4, 6), (15, 16)) == [(4, 6, "queue full"), (15, 16, "conflict")]

    def test_a_claim_of_what_comes_later_waits(self) -> None:
        """A range is explained by what claims it, in whatever order the rows came."""
        assert split([claim((8, 9), reason="b"), claim((1, 2), reason="a")], (1, 1), (9, 9)) == [
            (1, 1, "a"),
            (9, 9, "b"),
        ]

    def test_the_whole_sequence_may_be_claimed(self) -> None:
        """The biggest numbers that a row can hold cost no more than small ones."""
        claims = [claim((0, BIGGEST), count=BIGGEST)]
        assert split(claims, (1, BIGGEST - 2)) == [(1, BIGGEST - 2, "exit")]


def test_many_hostile_claims_are_walked_once() -> None:
    """A hundred thousand ranges that overlap by half are held against as many missing numbers."""
    claims = [claim((number, number + 50_000), reason=str(number), count=1) for number in range(100_000)]
    parts = split(claims, *((number, number) for number in range(100_000)))
    assert all(reason is not None for _, _, reason in parts)


ranges = st.tuples(st.integers(1, 40), st.integers(0, 8)).map(lambda pair: (pair[0], sum(pair)))


@given(
    st.lists(st.tuples(st.lists(ranges, min_size=1, max_size=3), st.integers(0, 12)), max_size=5),
    st.sets(st.integers(1, 45)),
)
def test_every_missing_number_is_told_once(told: list[tuple[list[tuple[int, int]], int]], missing: set[int]) -> None:
    """The parts are the missing numbers in their order; a claim explains only its own, and no more than it counts."""
    claims = [claim(*each, count=count, reason=str(n)) for n, (each, count) in enumerate(told)]
    numbers = sorted(missing)
    parts = split(claims, *((number, number) for number in numbers))
    assert [begin for begin, _, _ in parts] == [end for _, end, _ in parts] == numbers
    for n, (each, count) in enumerate(told):
        explained = [begin for begin, _, reason in parts if reason == str(n)]
        assert len(explained) <= count
        assert all(any(first <= number <= last for first, last in each) for number in explained)
    for number in (begin for begin, _, reason in parts if reason is None):
        left = [count - sum(reason == str(n) for _, _, reason in parts) for n, (_, count) in enumerate(told)]
        covering = [n for n, (each, _) in enumerate(told) if any(first <= number <= last for first, last in each)]
        assert all(left[n] == 0 for n in covering)
