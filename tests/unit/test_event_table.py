"""Events as a table to read: nothing is cut off, folded badly or acts on the terminal."""

import io
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from rich.console import Console

from pglog_audit import AuditEvent
from pglog_audit.cli.event_table import table_rows
from tests.hostile import acting, hostile_events

NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
USER = UUID("0195a5b2-7c1e-7d43-9b1a-4c5d6e7f8091")
IDS = [UUID(int=number) for number in range(0x1111, 0x1119)]


def event(**fields: Any) -> AuditEvent:
    return AuditEvent(**{"action": "branding.update", "occurred_at": NOON, "outcome": "success"} | fields)


def shown(*events: AuditEvent, width: int = 120, encoding: str = "utf-8", **options: Any) -> str:
    console = Console(file=io.TextIOWrapper(io.BytesIO(), encoding), width=width, height=25, **options)
    return "".join(table_rows(events, console))


def test_says_who_did_what() -> None:
    """Labels stand in place of ids, with the time to the second."""
    text = shown(event(user_id=USER, user_label="Ada", entity_type="logo", target_label="Night", message="Done"))
    for part in ("2026-03-01 12:00:00+00:00", "Ada", "branding.update", "logo Night", "Done"):
        assert part in text
    assert str(USER) not in text
    assert "success" not in text


@pytest.mark.parametrize("outcome", ["failure", "denied", "unknown", "pending"])
@pytest.mark.parametrize("terminal", [False, True])
def test_an_outcome_that_was_no_success_catches_the_eye(outcome: str, terminal: bool, monkeypatch) -> None:
    """A failed action is told by a word, and by a colour where there are any."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    text = shown(event(outcome=outcome), force_terminal=terminal)
    assert f"{outcome}\x1b[0m" in text if terminal else f"branding.update  {outcome}" in text
    assert ("\x1b[1;31m" in text or "\x1b[1;33m" in text) == terminal


def test_names_the_person_behind_a_user() -> None:
    """An impersonator is not hidden behind the label."""
    text = shown(event(impersonator_id=7, user_label="Ada"))
    assert "Ada" in text
    assert "impersonated by 7" in text


@pytest.mark.parametrize("width", [40, 60, 79, 80, 81, 100, 119, 120, 200])
def test_no_uuid_is_folded(width: int) -> None:
    """From 40 columns on every id stands in one line, to copy and to search for."""
    names = ("id", "user_id", "event_id", "target_id", "impersonator_id")
    ids = dict(zip(names, IDS, strict=False))
    lines = shown(event(**ids, entity_type="guest_list_entry", request_id=str(USER)), width=width).splitlines()
    for value in (*ids.values(), USER):
        assert sum(str(value) in line for line in lines) == 1
    assert max(map(len, lines)) <= width


@pytest.mark.parametrize("width", [80, 120])
def test_a_user_without_a_label_is_told_in_full(width: int) -> None:
    """Where the column has no room for a UUID it shows the end, and the whole stands beside."""
    text = shown(event(user_id=USER), width=width)
    assert str(USER) in text
    assert ("...4c5d6e7f8091" in text) == (width < 120)


@pytest.mark.parametrize("user", [7, "auth0|42"])
def test_ids_of_other_types_are_shown_as_they_are(user: Any) -> None:
    """A bigint or a text id has its place in the column."""
    assert f"  {user}  " in shown(event(user_id=user), width=80)


@pytest.mark.parametrize("width", [30, 80, 120])
def test_folds_what_is_wide(width: int) -> None:
    """At the width of a terminal nothing is cut off and no line is longer."""
    wide = event(user_id=USER, target_label="Ω" * 90, request_id="Ж" * 64, message="Ш" * 900, action="щ" * 70)
    text = shown(wide, width=max(width, 50))
    assert max(map(len, text.splitlines())) <= max(width, 50)
    assert [text.count(letter) for letter in "ΩЖШщ"] == [90, 64, 900, 70]


def test_characters_of_two_cells_keep_the_columns() -> None:
    """A Japanese name takes twice its letters, and the next column begins where it did."""
    lines = shown(event(user_label="山田太郎"), event(user_label="Ada"), width=80).splitlines()
    assert lines[2].index("branding") + 4 == lines[4].index("branding")


@pytest.mark.parametrize("width", [40, 80, 120])
def test_has_no_blanks_at_the_ends_of_lines(width: int) -> None:
    """What is copied or piped is text and nothing else."""
    text = shown(event(), event(message="All is done " * 9, id=USER), width=width)
    assert all(line == line.rstrip() for line in text.splitlines())


@pytest.mark.parametrize(("width", "stacked"), [(79, True), (80, False)])
def test_details_stand_below_where_there_is_no_room_beside(width: int, stacked: bool) -> None:
    """On a narrow terminal a UUID would be folded in the third column."""
    [line] = [line for line in shown(event(), width=width).splitlines() if "branding" in line]
    assert line.startswith("  branding") == stacked


def test_events_are_shown_as_they_come() -> None:
    """The first rows are there before the last event is read; the header stands once."""

    def endless():
        while True:
            yield event()

    rows = table_rows(endless(), Console(file=io.StringIO(), width=80, height=25))
    assert [next(rows).count("When") for _ in range(3)] == [1, 0, 0]


def test_no_event_is_no_table() -> None:
    """A header over nothing would only be noise."""
    assert shown() == ""


def test_interprets_no_markup() -> None:
    """Brackets, links and emoji codes in a row are text."""
    text = shown(event(message="[red]x[/red] [link=http://a]y[/link] :bomb:", user_label="[/]"), width=200)
    assert "[red]x[/red] [link=http://a]y[/link] :bomb:" in text
    assert "[/]" in text


@pytest.mark.parametrize("time", ["infinity", "0044-03-15 12:00:00 BC", None])
def test_keeps_a_time_beyond_the_calendar(time: Any) -> None:
    """Times that only the server knows are shown as its text, and none at all as nothing."""
    text = shown(event(occurred_at=time))
    assert str(time) in text if time else "None" not in text


def test_needs_no_unicode() -> None:
    """On a terminal with another encoding a name is escaped, not an error."""
    text = shown(event(user_label="山"), encoding="ascii")
    assert r"\u5c71" in text
    assert text.isascii()


@given(hostile_events)
def test_lets_no_field_act_on_the_terminal(hostile: AuditEvent) -> None:
    """Whatever text the fields hold, what is printed has visible characters, spaces and line ends only."""
    assert acting(shown(hostile)) == set()
