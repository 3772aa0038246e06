"""Times as people write them on a command line, and as they read them."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ..audit_event import AuditEvent
from ..errors import ConfigurationError

_AGO = re.compile(r"(\d+)([mhdw])", re.ASCII)
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DAYS = {"today": 0, "yesterday": 1}


def read_time(option: str, text: str, *, utc: bool = False, now: datetime | None = None) -> datetime:
    """
    Return the time that *text* names: ``2h``, ``30m``, ``7d`` or ``2w`` ago, a word, a date or an ISO 8601 date-time.

    A day is its midnight. What names no zone is local time, or UTC if *utc*.

    :raises ConfigurationError: it names none; the message begins with *option*.
    """
    try:
        return _read(text.strip(), utc=utc, now=now or datetime.now(UTC))
    except (ValueError, OverflowError):
        raise ConfigurationError(
            f"{option} is {text!r}, which names no time: write 30m, 2h, 7d or 2w (ago), now, today, yesterday, a date "
            "such as 2026-03-01, or a date-time such as 2026-03-01T09:30 or 2026-03-01T09:30+01:00"
        ) from None


def _read(text: str, *, utc: bool, now: datetime) -> datetime:
    if text == "now":
        return now
    if ago := _AGO.fullmatch(text):
        return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    if text in _DAYS:
        here = now.astimezone(UTC if utc else None).replace(tzinfo=None)
        day = here.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=_DAYS[text])
        return _in_zone(day, utc=utc)
    return _in_zone(datetime.fromisoformat(text), utc=utc)


def _in_zone(time: datetime, *, utc: bool) -> datetime:
    if time.tzinfo is not None:
        return time
    # The zone comes last: midnight of another day may have another offset than now.
    return time.replace(tzinfo=UTC) if utc else time.astimezone()


def with_zone(event: AuditEvent, *, utc: bool) -> AuditEvent:
    """Return *event* with its times, also those in columns of the user's, in local time or UTC."""
    times = {name: shown_time(getattr(event, name), utc=utc) for name in ("occurred_at", "recorded_at")}
    extra: Mapping[str, Any] = {name: shown_time(value, utc=utc) for name, value in event.extra.items()}
    return replace(event, **times, extra=extra)


def shown_time(value: Any, *, utc: bool) -> Any:
    """Return *value*, of a row, in local time or UTC if it is a time."""
    # What is no datetime here is the server's text for a time beyond the calendar, or a column of another type.
    if not isinstance(value, datetime) or value.tzinfo is None:
        return value
    try:
        return value.astimezone(UTC if utc else None)
    except (OverflowError, ValueError):  # the calendar ends before the time there
        return value
