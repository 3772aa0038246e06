"""What can be told of a question about gaps without a server."""

from dataclasses import FrozenInstanceError
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest

from pglog_audit import AuditLog, ConfigurationError, Gap


@pytest.mark.parametrize("since", [datetime(2026, 3, 1), "2026-03-01", 7])  # noqa: DTZ001 - that is what is refused
def test_a_time_without_a_zone_is_refused(since: Any) -> None:
    """At the call, not when somebody iterates."""
    with pytest.raises(ConfigurationError, match=r"since is .+: pass a datetime with a time zone"):
        AuditLog("dbname=app").gaps(since=since)


@pytest.mark.parametrize("writer_id", ["me", "", 7, "019cae1f"])
def test_what_is_no_uuid_is_refused(writer_id: Any) -> None:
    """A writer is named by the UUID that its rows have."""
    with pytest.raises(ConfigurationError, match=f"writer_id is {writer_id!r}: pass a UUID"):
        AuditLog("dbname=app").gaps(writer_id=writer_id)


def test_nothing_is_asked_before_somebody_iterates() -> None:
    """A result that nobody reads opens no connection."""
    gaps = AuditLog("postgresql://app@127.0.0.1:1/app").gaps()
    gaps.close()
    assert list(gaps) == []


def test_a_gap_cannot_be_changed() -> None:
    """It is a value."""
    gap = Gap(kind="unexplained", writer_id=UUID(int=7), first_seq=1, last_seq=2, count=2)
    with pytest.raises(FrozenInstanceError):
        gap.count = 0  # type: ignore[misc]
