"""How long a partition is: a day, a month or a year of UTC."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from .errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Step:
    """The length of a table's partitions."""

    name: str
    """As the option and the table's comment have it: ``monthly``."""
    unit: str
    """As SQL's ``date_trunc`` and people have it: ``month``."""
    suffix: str
    """The end of a partition's name, as SQL's ``to_char`` wants it."""
    ahead: int
    """How many partitions after the current one there shall be."""
    few: int
    """How many are so few that somebody should know."""

    def begin(self, time: datetime) -> datetime:
        """Return when the partition begins that *time* lies in."""
        day = time.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return {"day": day, "month": day.replace(day=1), "year": day.replace(month=1, day=1)}[self.unit]

    def after(self, begin: datetime, count: int = 1) -> datetime:
        """Return when the partition begins that comes *count* after the one of *begin*."""
        if self.unit == "day":
            return begin + timedelta(days=count)
        years, month = divmod(begin.month - 1 + count, 12) if self.unit == "month" else (count, begin.month - 1)
        return begin.replace(year=begin.year + years, month=month + 1)

    def between(self, first: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Yield begin and end of each partition from the one of *first* on that begins before *end*."""
        begin = self.begin(first)
        while begin < end:
            yield begin, (after := self.after(begin))
            begin = after

    def name_of(self, prefix: str, begin: datetime) -> str:
        """Return the name of the partition that begins then, for a table whose names begin with *prefix*."""
        # A part that other partitions leave of a month does not begin where the month does.
        unit = self.unit if self.begin(begin) == begin else "day"
        return prefix + begin.strftime({"day": "_%Y_%m_%d", "month": "_%Y_%m", "year": "_%Y"}[unit])


STEPS: Mapping[str, Step] = MappingProxyType(
    {
        step.name: step
        for step in (
            Step("daily", "day", "_YYYY_MM_DD", ahead=30, few=7),
            Step("monthly", "month", "_YYYY_MM", ahead=12, few=3),
            Step("yearly", "year", "_YYYY", ahead=2, few=1),
        )
    }
)
"""The lengths that there are."""


def check_step(name: str) -> Step:
    """
    Return the step of that name.

    :raises ConfigurationError: there is none.
    """
    if name not in STEPS:
        raise ConfigurationError(f"partitions is {name!r}: they are {', '.join(STEPS)}")
    return STEPS[name]
