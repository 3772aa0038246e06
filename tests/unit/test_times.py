"""Times on the command line: what people write, and what they read."""

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from pglog_audit import AuditEvent, ConfigurationError
from pglog_audit.cli.times import read_time, with_zone

NOW = datetime(2026, 3, 30, 10, 30, tzinfo=UTC)
SUMMER = timezone(timedelta(hours=2))


@pytest.fixture
def vienna(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the local time be that of Vienna, where summer time began the day before NOW."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def read(text: str, *, utc: bool = False) -> datetime:
    return read_time("--since", text, utc=utc, now=NOW)


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("30m", timedelta(minutes=30)),
        ("2h", timedelta(hours=2)),
        ("7d", timedelta(days=7)),
        ("2w", timedelta(weeks=2)),
        ("0m", timedelta()),
        (" 1h ", timedelta(hours=1)),
        ("now", timedelta()),
    ],
)
def test_a_while_ago(vienna: None, text: str, ago: timedelta) -> None:
    """An amount is counted back from now, and a day has 24 hours also where the clocks change."""
    assert read(text) == NOW - ago


@pytest.mark.parametrize(
    ("text", "local", "utc"),
    [
        ("today", "2026-03-30T00:00+02:00", "2026-03-30T00:00+00:00"),
        ("yesterday", "2026-03-29T00:00+01:00", "2026-03-29T00:00+00:00"),
        ("2026-03-01", "2026-03-01T00:00+01:00", "2026-03-01T00:00+00:00"),
        ("2026-07-01", "2026-07-01T00:00+02:00", "2026-07-01T00:00+00:00"),
        ("2026-03-01T09:30", "2026-03-01T09:30+01:00", "2026-03-01T09:30+00:00"),
        ("2026-03-01 09:30:15.5", "2026-03-01T09:30:15.5+01:00", "2026-03-01T09:30:15.5+00:00"),
        ("2026-03-01T09:30+05:30", "2026-03-01T09:30+05:30", "2026-03-01T09:30+05:30"),
        ("2026-03-01T09:30Z", "2026-03-01T09:30+00:00", "2026-03-01T09:30+00:00"),
    ],
)
def test_days_and_date_times(vienna: None, text: str, local: str, utc: str) -> None:
    """A day is its midnight, with the offset of that day; what names its zone is not moved to another."""
    assert read(text) == datetime.fromisoformat(local)
    assert read(text, utc=True) == datetime.fromisoformat(utc)


def test_today_is_the_day_there(vienna: None) -> None:
    """Shortly before midnight UTC it is tomorrow in Vienna."""
    now = datetime(2026, 6, 30, 23, 0, tzinfo=UTC)
    assert read_time("--since", "today", now=now) == datetime(2026, 7, 1, tzinfo=SUMMER)
    assert read_time("--since", "today", utc=True, now=now) == datetime(2026, 6, 30, tzinfo=UTC)


def test_now_is_the_clocks() -> None:
    """Without another clock it is the machine's."""
    before = datetime.now(UTC)
    assert before <= read_time("--until", "now") <= datetime.now(UTC)


@pytest.mark.parametrize(
    "text",
    [
        *["", "2", "h", "2 h", "-2h", "2y", "1.5h", "\u0662h", "tomorrow", "2026-13-01", "2026-02-30", "03/01/2026"],
        *["999999999999d", "9" * 5000 + "d", "0001-01-01T00:00+14:00x", "\x1b[2J\u202e"],
    ],
)
def test_what_names_no_time_is_told(text: str) -> None:
    """The error names the option, the text and what to write instead, harmlessly."""
    with pytest.raises(ConfigurationError, match=r"^--since is .*, which names no time: write 30m, 2h, 7d") as error:
        read(text)
    assert str(error.value).isprintable()


def test_events_get_the_zone_asked_for(vienna: None) -> None:
    """All aware times of an event are local, or in UTC; all others stay as they are."""
    extra = {"paid_at": NOW, "day": date(2026, 3, 1), "naive": datetime(2026, 3, 1), "note": "x"}  # noqa: DTZ001
    event = AuditEvent(action="a.b", occurred_at=NOW, recorded_at=NOW, extra=extra)
    local, utc = with_zone(event, utc=False), with_zone(event, utc=True)
    assert local == utc == event
    assert {time.isoformat() for time in (local.occurred_at, local.recorded_at, local.extra["paid_at"])} == {
        "2026-03-30T12:30:00+02:00"
    }
    assert {time.isoformat() for time in (utc.occurred_at, utc.recorded_at, utc.extra["paid_at"])} == {
        "2026-03-30T10:30:00+00:00"
    }
    assert local.extra["naive"].tzinfo is None


def test_the_ends_of_the_calendar_stay(vienna: None) -> None:
    """A time that has no local time, or only the server's text, is kept."""
    last = datetime.max.replace(tzinfo=UTC)
    assert with_zone(AuditEvent(action="a.b", occurred_at=last), utc=False).occurred_at == last
    assert with_zone(AuditEvent(action="a.b", occurred_at="infinity"), utc=True).occurred_at == "infinity"
