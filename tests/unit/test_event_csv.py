"""Events as CSV: a spreadsheet shows them and runs nothing, and a program reads them back."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given

from pglog_audit import AuditEvent, SchemaError
from pglog_audit.audit_event import EVENT_FIELDS
from pglog_audit.cli.event_csv import csv_rows
from tests.hostile import ATTACKS, acting, hostile_events, is_formula

NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
USER = UUID("0195a5b2-7c1e-7d43-9b1a-4c5d6e7f8091")


def event(**fields: Any) -> AuditEvent:
    return AuditEvent(**{"action": "branding.update", "occurred_at": NOON, "outcome": "success"} | fields)


def table(*events: AuditEvent) -> list[list[str]]:
    return list(csv.reader(io.StringIO("".join(csv_rows(events)), newline=""), strict=True))


def field(value: Any, name: str = "message") -> str:
    header, row = table(event(**{name: value}))
    return row[header.index(name)]


def test_has_every_field_and_the_users_columns() -> None:
    """The header names them; ids and times are plain, NULL is nothing, JSON is JSON."""
    header, row = table(event(user_id=USER, metadata={"a": [1, "ü"]}, extra={"shop": "Graz", "tags": ["x"]}))
    assert header == [*EVENT_FIELDS, "shop", "tags"]
    values = dict(zip(header, row, strict=True))
    assert values["user_id"] == str(USER)
    assert values["occurred_at"] == "2026-03-01T12:00:00.123456+00:00"
    assert json.loads(values["metadata"]) == {"a": [1, "ü"]}
    assert (values["message"], values["changes"], values["shop"], values["tags"]) == ("", "", "Graz", '["x"]')


def test_follows_rfc_4180() -> None:
    """Lines end with CRLF; what holds a comma or a quote is quoted, and quotes are doubled."""
    text = "".join(csv_rows([event(message='a, "b"')]))
    assert text.count("\r\n") == 2
    assert text.endswith("\r\n")
    assert ',"a, ""b""",' in text


def test_no_event_is_a_header() -> None:
    """A program finds the columns of an empty answer, too."""
    assert table() == [list(EVENT_FIELDS)]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@A1", "  =1", '"=1"', "'=1", "' \"@x", "\u3000=1", "\uff1d1"])
def test_what_would_be_a_formula_gets_an_apostrophe(text: str) -> None:
    """A spreadsheet takes such a field for text, also behind blanks and quotes."""
    assert field(text) == f"'{text}"


def test_what_would_be_a_formula_in_the_next_cell_gets_an_apostrophe() -> None:
    """Where the semicolon separates cells, what follows it is a field of its own."""
    assert field("a;=1+1; -2") == "a;'=1+1;' -2"
    assert json.loads(field({"a": ";=1"}, "metadata")) == {"a": ";=1"}
    assert ";" not in field({"a": ";=1"}, "metadata")


@pytest.mark.parametrize("value", [-5, -1.5, Decimal("-12.50"), 0])
def test_numbers_stay_numbers(value: Any) -> None:
    """A negative number of a column of the user's is none that anybody could make a formula of."""
    header, row = table(event(extra={"amount": value}))
    assert row[header.index("amount")] == str(value)


@pytest.mark.parametrize("text", ["a=b", "Ada L. - guest", "1-2", "a@b.example", "Zoë; 山田"])
def test_ordinary_text_stays(text: str) -> None:
    """Only the beginning of a cell makes a formula."""
    assert field(text) == text


def test_control_characters_are_escapes() -> None:
    """A field is one line of visible characters, so that no reader sees a row that is none."""
    assert field("one\r\ntwo\t\x1b[2J\u202e") == r"one\r\ntwo\t\x1b[2J\u202e"


def test_rows_are_written_as_they_come() -> None:
    """The first row is there before the second event is read."""

    def endless() -> Iterator[AuditEvent]:
        while True:
            yield event()

    rows = csv_rows(endless())
    assert next(rows).startswith("action,id")
    assert next(rows).startswith("branding.update")


def test_a_new_column_is_told() -> None:
    """A column that appears between two pages has no place in the header, and is not left out silently."""
    with pytest.raises(SchemaError, match="got the column shop while it was read: run the command again"):
        list(csv_rows([event(), event(extra={"shop": 1})]))


@pytest.mark.parametrize("attack", ATTACKS)
def test_column_names_are_data(attack: str) -> None:
    """Whoever may add a column may name it as they like."""
    header, _ = table(event(extra={attack: 1}))
    assert acting(header[-1]) == set()
    assert not is_formula(header[-1])


@given(hostile_events)
def test_no_field_is_a_formula_or_acts_on_the_terminal(hostile: AuditEvent) -> None:
    """Whatever text the fields hold, cells are visible text, and metadata is what the row says."""
    header, row = table(hostile)
    assert len(header) == len(row)
    assert [cell for cell in (*header, *row) if is_formula(cell) or acting(cell)] == []
    assert json.loads(row[header.index("metadata")]) == hostile.metadata
