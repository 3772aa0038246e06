"""The length of partitions: their begins, ends and names."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from pglog_audit.errors import ConfigurationError
from pglog_audit.steps import STEPS, check_step

TIME = datetime(2027, 12, 31, 23, 30, tzinfo=UTC)
BEGINS = {"daily": datetime(2027, 12, 31, tzinfo=UTC), "monthly": datetime(2027, 12, 1, tzinfo=UTC)}


@pytest.mark.parametrize("name", STEPS)
def test_begin_and_end_enclose_the_time(name: str) -> None:
    """Also at the end of the year, and whatever zone the time is told in."""
    step = STEPS[name]
    begin = step.begin(TIME.astimezone(timezone(timedelta(hours=9))))
    assert begin == BEGINS.get(name, datetime(2027, 1, 1, tzinfo=UTC))
    assert step.after(begin) == datetime(2028, 1, 1, tzinfo=UTC)


def test_steps_back_and_far() -> None:
    """Months are those of the calendar, in both directions."""
    december = STEPS["monthly"].begin(TIME)
    assert STEPS["monthly"].after(december, -12) == datetime(2026, 12, 1, tzinfo=UTC)
    assert STEPS["monthly"].after(december, 14) == datetime(2029, 2, 1, tzinfo=UTC)
    assert STEPS["daily"].after(datetime(2028, 2, 28, tzinfo=UTC), 2) == datetime(2028, 3, 1, tzinfo=UTC)


def test_between_yields_what_begins_before_the_end() -> None:
    """The one that the first time lies in comes first, and each ends where the next begins."""
    months = list(STEPS["monthly"].between(TIME, datetime(2028, 2, 1, tzinfo=UTC)))
    assert months == [
        (datetime(2027, 12, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC)),
        (datetime(2028, 1, 1, tzinfo=UTC), datetime(2028, 2, 1, tzinfo=UTC)),
    ]


@pytest.mark.parametrize(
    ("name", "begin", "expected"),
    [
        ("daily", datetime(2027, 3, 9, tzinfo=UTC), "log_2027_03_09"),
        ("monthly", datetime(2027, 3, 1, tzinfo=UTC), "log_2027_03"),
        ("monthly", datetime(2027, 3, 9, tzinfo=UTC), "log_2027_03_09"),
        ("yearly", datetime(2027, 1, 1, tzinfo=UTC), "log_2027"),
    ],
)
def test_names(name: str, begin: datetime, expected: str) -> None:
    """A part of a month, beside a partition of the user's own, is named by its day."""
    assert STEPS[name].name_of("log", begin) == expected


def test_another_name_is_refused() -> None:
    """What can never work is told with what can."""
    with pytest.raises(ConfigurationError, match=r"hourly.*daily, monthly, yearly"):
        check_step("hourly")
