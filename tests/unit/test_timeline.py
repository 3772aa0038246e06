"""Questions to the audit table and their answers on a terminal, as far as they need no server."""

import io
import ipaddress
import json
import unicodedata
from dataclasses import FrozenInstanceError
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg_pool import AsyncConnectionPool
from rich.console import Console

from pglog_audit import AuditEvent, AuditLog, ConfigurationError, TimelinePage
from pglog_audit.cli.timeline import render_table, to_json

NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
USER = UUID("0195a5b2-7c1e-7d43-9b1a-4c5d6e7f8091")


any_text = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(
    ["\x1b]8;;http://x\x1b\\y", "\x9b2J", "\x7f", "[red]", "[/", "a\nb\tc", "\u202eabc\u2069", "\u200b", ":bomb:", "\\"]
)
TEXT_FIELDS = ("action", "user_label", "entity_type", "target_label", "request_id", "outcome", "message")
hostile_events = st.builds(
    AuditEvent,
    **dict.fromkeys((*TEXT_FIELDS, "user_id", "event_id", "target_id", "impersonator_id", "id"), any_text),
    metadata=st.dictionaries(any_text, any_text),
    extra=st.dictionaries(any_text, any_text),
)


def event(**fields: Any) -> AuditEvent:
    return AuditEvent(**{"action": "branding.update", "occurred_at": NOON, "outcome": "success"} | fields)


def rendered(*events: AuditEvent, width: int = 120, encoding: str = "utf-8") -> str:
    file = io.TextIOWrapper(io.BytesIO(), encoding, newline="")
    render_table(events, Console(file=file, width=width, color_system=None))
    file.seek(0)
    return file.read()


class TestPage:
    def test_is_a_sequence_of_events(self) -> None:
        """A page can be counted, indexed, cut and iterated."""
        first, second = event(), event(action="team.invite")
        page = TimelinePage((first, second))
        assert (len(page), page[0], page[-1:], list(page)) == (2, first, (second,), [first, second])

    def test_cannot_be_changed(self) -> None:
        """A page is a value."""
        with pytest.raises(FrozenInstanceError):
            TimelinePage(()).next_cursor = "x"


class TestOptions:
    def test_no_database_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without conninfo, pool and environment the error says what to set."""
        for name in ("PGLOG_AUDIT_CONNINFO", "DATABASE_URL", "PGHOST", "PGSERVICE", "PGDATABASE"):
            monkeypatch.delenv(name, raising=False)
        with pytest.raises(ConfigurationError, match="PGLOG_AUDIT_CONNINFO"):
            AuditLog()

    def test_another_pool_is_refused_by_name(self) -> None:
        """A pool of another kind would fail at the first question only."""
        with pytest.raises(ConfigurationError, match="AsyncConnectionPool"):
            AuditLog(pool=AsyncConnectionPool("", open=False))

    def test_an_unknown_field_in_columns_is_refused(self) -> None:
        """A mapping written the wrong way round is told at once."""
        with pytest.raises(ConfigurationError, match="created_at"):
            AuditLog("dbname=app", columns={"created_at": "occurred_at"})

    @pytest.mark.parametrize("limit", [0, -1, 1001])
    def test_a_limit_out_of_range_is_refused(self, limit: int) -> None:
        """A page has 1 to 1000 events."""
        with pytest.raises(ConfigurationError, match=f"limit is {limit}: ask for 1 to 1000"):
            AuditLog("dbname=app").timeline(limit=limit)

    @pytest.mark.parametrize("cursor", ["", "x", "AAAAAA", "WyJhIiwgImIiXQ", "münchen", "[]", "\x1b[2J"])
    def test_a_damaged_cursor_is_refused(self, cursor: str) -> None:
        """A cursor that no page gave does not silently begin elsewhere."""
        with pytest.raises(ConfigurationError, match="is damaged: pass next_cursor") as error:
            AuditLog("dbname=app").timeline(cursor=cursor)
        assert str(error.value).isprintable()


class TestTable:
    def test_says_who_did_what(self) -> None:
        """Labels stand in place of ids, with the local time to the second."""
        text = rendered(event(user_id=USER, user_label="Ada", entity_type="logo", target_label="Night", message="Done"))
        when = NOON.astimezone().isoformat(" ", "seconds").split()
        for shown in (*when, "Ada", "branding.update", "logo Night", "Done"):
            assert shown in text
        assert str(USER) not in text
        assert "success" not in text

    def test_shows_the_outcome_that_was_no_success(self) -> None:
        """A failed action is seen as such."""
        assert "denied" in rendered(event(outcome="denied"))

    def test_names_the_person_behind_a_user(self) -> None:
        """An impersonator is not hidden behind the label."""
        text = rendered(event(impersonator_id=7, user_label="Ada"))
        assert "Ada" in text
        assert "impersonated by 7" in text

    @pytest.mark.parametrize("width", [80, 120])
    def test_folds_what_is_wide(self, width: int) -> None:
        """At the width of a terminal nothing is cut off and no line is longer."""
        text = rendered(event(user_id=USER, target_label="Ω" * 90, request_id="Ж" * 64, message="Ш" * 900), width=width)
        assert max(map(len, text.splitlines())) <= width
        assert [text.count(letter) for letter in "ΩЖШ"] == [90, 64, 900]

    def test_interprets_no_markup(self) -> None:
        """Brackets, links and emoji codes in a row are text."""
        text = rendered(event(message="[red]x[/red] [link=http://a]y[/link] :bomb:", user_label="[/]"), width=200)
        assert "[red]x[/red] [link=http://a]y[/link] :bomb:" in text
        assert "[/]" in text

    def test_keeps_a_time_that_has_no_local_time(self) -> None:
        """The ends of the calendar, and times that only the server knows, are shown as they are."""
        first = datetime.min.replace(tzinfo=timezone(timedelta(hours=14)))
        assert "0001-01-01" in rendered(event(occurred_at=first))
        assert "infinity" in rendered(event(occurred_at="infinity"))

    def test_needs_no_unicode(self) -> None:
        """On a terminal with another encoding a name is escaped, not an error."""
        assert r"\u5c71" in rendered(event(user_label="山"), encoding="ascii")

    @given(hostile_events)
    def test_lets_no_field_act_on_the_terminal(self, hostile: AuditEvent) -> None:
        """Whatever text the fields hold, what is printed has visible characters, spaces and line ends only."""
        categories = {unicodedata.category(character) for character in rendered(hostile).replace("\n", "")}
        assert categories.isdisjoint({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})


class TestJson:
    def test_has_every_field(self) -> None:
        """Ids are text, times ISO 8601, and columns of the user's are under extra."""
        extra = {"score": float("nan"), "raw": b"\x01", "ip": ipaddress.ip_address("::1"), "tags": ["a", None]}
        metadata = {"a": [1, {"b": None}]}
        [row] = json.loads(to_json([event(user_id=7, event_id=USER, id=USER, metadata=metadata, extra=extra)]))
        assert row["user_id"] == "7"
        assert row["event_id"] == row["id"] == str(USER)
        assert row["occurred_at"] == "2026-03-01T12:00:00.123456+00:00"
        assert row["metadata"] == metadata
        assert row["extra"] == {"score": "nan", "raw": "01", "ip": "::1", "tags": ["a", None]}
        assert row["message"] is None

    @given(hostile_events)
    def test_is_printable_ascii_and_exact(self, hostile: AuditEvent) -> None:
        """JSON has no control, C1 or bidirectional character in it, and still says exactly what the row says."""
        text = to_json([hostile])
        assert text.isascii()
        assert text.replace("\n", "").isprintable()
        [row] = json.loads(text)
        assert (row["message"], row["metadata"], row["extra"]) == (hostile.message, hostile.metadata, hostile.extra)
