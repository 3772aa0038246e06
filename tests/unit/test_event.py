"""What audit() gives to a log call, and the row that comes back."""

import dataclasses
import inspect
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from pglog_audit import AuditEvent, audit
from pglog_audit.audit_event import EVENT_FIELDS
from pglog_audit.event import CALLER_FIELDS, ID_FIELDS, TEXT_FIELDS, WRITER_FIELDS


def test_audit_is_an_extra():
    """The result is what a log call takes as extra: one key, which no attribute of a record has."""
    assert audit("branding.update") == {"audit": {"action": "branding.update"}}


def test_every_field_is_passed_on():
    """Each field that a caller may set arrives under its own name."""
    fields = {name: object() for name in CALLER_FIELDS}
    assert audit(**fields) == {"audit": fields}


def test_every_field_but_message_is_an_argument():
    """Editors complete every field; only the message is the log call's own."""
    arguments = inspect.signature(audit).parameters.keys()
    assert arguments - {"misplaced", "columns"} == CALLER_FIELDS - {"message"}


def test_none_counts_as_not_given():
    """A field that is None leaves its place to the context."""
    assert audit("a.b", user_id=None, metadata=None, outcome=None) == audit("a.b")


@pytest.mark.parametrize("value", [0, "", False, [], {}])
def test_an_empty_value_counts_as_given(value):
    """Only None means "not given": zero may be somebody's id."""
    assert audit("a.b", user_id=value)["audit"]["user_id"] == value


def test_other_names_are_columns():
    """A keyword that is none of our fields is kept, None included: the column decides."""
    assert audit("a.b", order_id=7, shop=None)["audit"] == {"action": "a.b", "order_id": 7, "shop": None}


def test_nothing_at_all_is_accepted():
    """A call without arguments fails no request: the missing action is reported with the row."""
    assert audit() == {"audit": {"action": ""}}


def test_misplaced_arguments_are_kept():
    """What was given by position instead of by name neither raises nor vanishes."""
    assert audit("a.b", 1, "two")["audit"]["_misplaced"] == (1, "two")


def test_an_event_has_every_column():
    """A row read back has a place for each field that a caller, the writer or the server sets."""
    assert set(EVENT_FIELDS) == CALLER_FIELDS | WRITER_FIELDS


def test_a_field_has_one_kind():
    """No field is an id and a text, or the caller's and the writer's."""
    assert ID_FIELDS.isdisjoint(TEXT_FIELDS)
    assert CALLER_FIELDS.isdisjoint(WRITER_FIELDS)


def test_a_row_becomes_an_event():
    """Our columns become attributes, the user's own stand in extra."""
    row = {"action": "a.b", "id": uuid4(), "occurred_at": datetime.now(UTC), "metadata": {"x": 1}, "order_id": 7}
    event = AuditEvent.from_row(row)
    assert (event.action, event.id, event.occurred_at, event.metadata) == tuple(row.values())[:4]
    assert event.extra == {"order_id": 7}


def test_a_row_of_a_narrow_table_becomes_an_event():
    """Fields without a column are None, and metadata is an empty object."""
    event = AuditEvent.from_row({"action": "a.b"})
    assert (event.id, event.user_id, event.changes, event.metadata, event.extra) == (None, None, None, {}, {})


def test_a_column_named_extra_is_the_users_own():
    """A user's column with the name of our attribute does not replace it."""
    assert AuditEvent.from_row({"action": "a.b", "extra": "theirs"}).extra == {"extra": "theirs"}


def test_an_event_cannot_be_changed():
    """What was read from an append-only table is immutable."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        AuditEvent(action="a.b").action = "c.d"


def test_two_events_share_no_metadata():
    """The default of a mapping is nobody else's mapping."""
    assert AuditEvent(action="a.b").metadata is not AuditEvent(action="a.b").metadata
