"""Events as JSON: exact, and as safe on a terminal as in a program."""

import ipaddress
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from hypothesis import given

from pglog_audit import AuditEvent
from pglog_audit.cli.event_json import json_array, json_lines, json_object
from tests.hostile import hostile_events

NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
USER = UUID("0195a5b2-7c1e-7d43-9b1a-4c5d6e7f8091")


def event(**fields: Any) -> AuditEvent:
    return AuditEvent(**{"action": "branding.update", "occurred_at": NOON, "outcome": "success"} | fields)


def test_has_every_field() -> None:
    """Ids are text, times ISO 8601, and columns of the user's are under extra."""
    extra = {"score": float("nan"), "raw": b"\x01", "ip": ipaddress.ip_address("::1"), "tags": ["a", None]}
    metadata = {"a": [1, {"b": None}]}
    row = json_object(event(user_id=7, event_id=USER, id=USER, writer_id=USER, metadata=metadata, extra=extra))
    assert row["user_id"] == "7"
    assert row["event_id"] == row["id"] == row["writer_id"] == str(USER)
    assert row["occurred_at"] == "2026-03-01T12:00:00.123456+00:00"
    assert row["metadata"] == metadata
    assert row["extra"] == {"score": "nan", "raw": "01", "ip": "::1", "tags": ["a", None]}
    assert row["message"] is None


def test_an_array_is_json_whatever_its_length() -> None:
    """No event, one and several are one array each, and the array ends with its line."""
    for count in (0, 1, 3):
        text = "".join(json_array([event()] * count))
        assert json.loads(text) == [json_object(event())] * count
        assert text.endswith("]\n")


def test_lines_are_one_object_each() -> None:
    """A message of several lines is one line of JSON."""
    lines = "".join(json_lines([event(message="one\ntwo"), event()])).split("\n")
    assert [json.loads(line)["message"] for line in lines[:-1]] == ["one\ntwo", None]
    assert lines[-1] == ""


def test_events_are_written_as_they_come() -> None:
    """Both forms give the first event before the second is asked for."""

    def endless() -> Iterator[AuditEvent]:
        while True:
            yield event()

    assert "branding.update" in next(json_array(endless()))
    assert "branding.update" in next(json_lines(endless()))


@given(hostile_events)
def test_is_printable_ascii_and_exact(hostile: AuditEvent) -> None:
    """JSON has no control, C1 or bidirectional character in it, and still says exactly what the row says."""
    for text in ("".join(json_array([hostile])), "".join(json_lines([hostile]))):
        assert text.isascii()
        assert text.replace("\n", "").isprintable()
        [row] = json.loads(text) if text.startswith("[") else [json.loads(text)]
        assert (row["message"], row["metadata"], row["extra"]) == (hostile.message, hostile.metadata, hostile.extra)
