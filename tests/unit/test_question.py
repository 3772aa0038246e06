"""A question to the audit table, as far as it needs no server."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pglog_audit import ConfigurationError
from pglog_audit.event import OUTCOMES
from pglog_audit.page_cursor import Position
from pglog_audit.question import Question, Range

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
LAST = datetime(2027, 2, 1, tzinfo=UTC)
DAY = timedelta(days=1)
days = st.integers(-9, 9).map(lambda n: FIRST + n * DAY)


def question(**given: Any) -> Question:
    return Question(**{"equal": {}} | given)


def statements(**given: Any) -> list[str]:
    return [condition.statement.removeprefix("timeline_") for condition in question(**given).conditions()]


class TestAction:
    def test_is_exact(self) -> None:
        """Without a star it is the whole action."""
        assert question(action="branding.update").parameters() == {"action": "branding.update"}
        assert statements(action="branding.update") == ["equal"]

    def test_with_a_star_is_all_below(self) -> None:
        """The dot is part of it: "brandings.update" lies outside."""
        assert question(action="branding.*").parameters() == {"action": "branding.", "action_end": "branding/"}
        assert statements(action="branding.*") == ["below"]

    @pytest.mark.parametrize(
        "action", ["*", ".*", "branding*", "*.update", "branding.*.update", "a.**", "a.*.*", "*.*"]
    )
    def test_with_another_star_is_refused(self, action: str) -> None:
        """The error shows the one form that there is."""
        with pytest.raises(ConfigurationError, match=r"may only end it, after a dot: branding\.\*") as error:
            question(action=action)
        assert repr(action) in str(error.value)

    @pytest.mark.parametrize(
        ("given", "hidden"),
        [
            ({}, True),
            ({"include_lifecycle": True}, False),
            ({"action": "audit.start"}, False),
            ({"action": "audit.*"}, False),
        ],
    )
    def test_of_the_trail_shows_its_rows(self, given: dict[str, Any], hidden: bool) -> None:
        """Lifecycle rows are hidden unless they are asked for, in either way."""
        assert ("not_lifecycle" in statements(**given)) is hidden


class TestOutcome:
    @pytest.mark.parametrize("outcome", OUTCOMES)
    def test_is_one_of_the_four(self, outcome: str) -> None:
        """Each outcome that a row can have can be asked for."""
        assert question(outcomes=(outcome,)).parameters() == {"outcome": outcome}

    @pytest.mark.parametrize("outcome", ["failed", "", "FAILURE"])
    def test_of_another_name_is_refused(self, outcome: str) -> None:
        """The error names those that there are."""
        with pytest.raises(ConfigurationError, match="the outcomes are success, failure, denied, unknown"):
            question(outcomes=(outcome,))


class TestTimes:
    @pytest.mark.parametrize("name", ["since", "until"])
    @pytest.mark.parametrize("time", [FIRST.replace(tzinfo=None), FIRST.date(), "2026-01-01"])
    def test_without_a_zone_are_refused(self, name: str, time: Any) -> None:
        """Which day it is must not depend on where the program runs."""
        with pytest.raises(ConfigurationError, match=f"^{name} is .*: pass a datetime with a time zone"):
            question(**{name: time})

    @pytest.mark.parametrize("until", [FIRST, FIRST - DAY])
    def test_that_hold_nothing_are_refused(self, until: datetime) -> None:
        """An empty time is a mistake, not an empty answer."""
        with pytest.raises(ConfigurationError, match=r"since .* is not before until"):
            question(since=FIRST, until=until)


class TestRanges:
    def test_of_an_uncut_table_are_one(self) -> None:
        """No bounds, so that rows of any time, and of none, are found."""
        assert question(since=FIRST).ranges(()) == [Range(None, None)]

    def test_stand_in_the_order_of_the_page(self) -> None:
        """The newest part of the time is asked first, or last."""
        ranges = [Range(None, FIRST), Range(FIRST, LAST), Range(LAST, None)]
        assert question(reverse=True).ranges((FIRST, LAST)) == ranges
        assert question().ranges((FIRST, LAST)) == ranges[::-1]

    def test_leave_out_what_lies_outside_the_question(self) -> None:
        """Since, until and the cursor spare the statements that could find nothing."""
        inside = Range(FIRST, LAST)
        assert question(since=FIRST, until=FIRST + DAY).ranges((FIRST, LAST)) == [inside]
        before = Position(str(FIRST - DAY), "7", reverse=False)
        assert question(position=before).ranges((FIRST, LAST)) == [Range(None, FIRST)]
        after = Position(str(LAST), "7", reverse=True)
        assert question(position=after, reverse=True).ranges((FIRST, LAST)) == [Range(LAST, None)]

    @given(
        st.lists(days, unique=True).map(sorted),
        st.none() | days,
        st.none() | days,
        st.none() | days,
        st.booleans(),
        days,
    )
    def test_hold_every_time_that_is_asked_for(
        self,
        edges: list[datetime],
        since: datetime | None,
        until: datetime | None,
        cursor: datetime | None,
        reverse: bool,
        time: datetime,
    ) -> None:
        """Wherever the partitions end, a time that can be an answer lies in exactly one range, in the page's order."""
        if since and until and since >= until:
            return
        position = cursor and Position(str(cursor), "7", reverse)
        ranges = question(since=since, until=until, position=position, reverse=reverse).ranges(tuple(edges))
        holding = [r for r in ranges if (not r.lower or r.lower <= time) and (not r.upper or time < r.upper)]
        answers = (not since or since <= time) and (not until or time < until)
        if answers and (not cursor or (cursor <= time if reverse else time <= cursor)):
            assert len(holding) == 1
        assert len(holding) <= 1
        in_order = ranges if reverse else ranges[::-1]
        assert all(older.upper and newer.lower and older.upper <= newer.lower for older, newer in pairwise(in_order))
