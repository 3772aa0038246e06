"""Values that their column refuses, and where they go."""

import pytest

from pglog_audit.catalog import Column, Table
from pglog_audit.column_types import REFUSED
from pglog_audit.misfits import move_misfits, suspicions, warn_of_moved
from tests.unit.test_catalog import table

NUMBER = "00000000-0000-0000-0000-000000000005"
*_, LAST = suspicions(is_alone=True)


def test_misfits_move_to_the_metadata():
    """A value that its column refuses is found in the metadata; everything else stays."""
    event = {"action": "a.b", "user_id": "ann", "event_id": None, "metadata": {"x": 1}, "extra": {"order": "x", "y": 2}}
    moved = move_misfits(event, table(["action:text", "user_id:uuid", "event_id:uuid"], ["order:int8"]))
    assert moved == {"user_id": "ann", "order": "x"}
    assert event == {
        "action": "a.b",
        "event_id": None,
        "metadata": {"x": 1, REFUSED: {"user_id": "ann", "order": "x"}},
        "extra": {"y": 2},
    }


def test_an_event_that_fits_is_left():
    """Without a misfit nothing is changed, and the caller is told so."""
    event = {"action": "a.b", "user_id": 5, "extra": {"order": 1}}
    before = repr(event)
    assert not move_misfits(event, table(["action:text", "user_id:int8"], ["order:int8"]))
    assert repr(event) == before


@pytest.mark.parametrize("event", [{"user_id": "ann"}, {"user_id": "ann", "metadata": None, "extra": None}])
def test_an_event_without_metadata_gets_some(event):
    """Metadata is made for what has to move there."""
    assert move_misfits(event, table(["user_id:uuid"]))
    assert event["metadata"] == {REFUSED: {"user_id": "ann"}}


@pytest.mark.parametrize(
    ("earlier", "kept"), [({"id": 1}, {"id": 1}), ("theirs", {"_value": "theirs"}), ([1], {"_value": [1]}), (None, {})]
)
def test_what_was_refused_before_is_kept(earlier, kept):
    """A caller's own key of that name, whatever it holds, neither gets lost nor stops the writer."""
    event = {"user_id": "ann", "metadata": {REFUSED: earlier}}
    assert move_misfits(event, table(["user_id:uuid"]))
    assert event["metadata"][REFUSED] == {**kept, "user_id": "ann"}


def test_all_but_text_moves_for_a_line_that_stands_alone():
    """At the last try only what every table takes stays in its place."""
    event = {"action": "a.b", "message": "m", "user_id": str(5), "changes": {"a": [1, 2]}, "extra": {"code": "x"}}
    described = table(["action:text", "message:text", "user_id:int8", "changes:jsonb"], ["code:varchar"])
    assert move_misfits(event, described, LAST)
    assert event == {
        "action": "a.b",
        "message": "m",
        "extra": {"code": "x"},
        "metadata": {REFUSED: {"user_id": "5", "changes": {"a": [1, 2]}}},
    }


def test_what_makes_the_row_never_moves():
    """Id, writer, number, time and metadata stay, or it would be another row."""
    event = {"id": "x", "writer_id": "x", "writer_seq": "x", "occurred_at": "x", "metadata": {"x": 1}}
    described = table(["id:uuid", "writer_id:uuid", "writer_seq:int8", "occurred_at:timestamptz", "metadata:jsonb"])
    assert not move_misfits(event, described, LAST)


def test_an_action_that_its_column_refuses():
    """A narrow table's enumeration may not know the action: the row is stored as unknown, with the action beside it."""
    event = {"action": "branding.update"}
    narrow = Table("public", "log", {"action": Column("action", "public.verb", None, None)}, {})
    assert move_misfits(event, narrow, LAST)
    assert event == {"action": "unknown", "metadata": {REFUSED: {"action": "branding.update"}}}


def test_an_action_moves_once():
    """If the table does not take "unknown" either, there is nothing left to move: the writer must not try for ever."""
    event = {"action": "branding.update"}
    narrow = Table("public", "log", {"action": Column("action", "public.verb", None, None)}, {})
    assert move_misfits(event, narrow, LAST)
    assert not move_misfits(event, narrow, LAST)
    assert event["metadata"][REFUSED] == {"action": "branding.update"}


def test_of_a_line_that_stands_alone_more_moves_each_time():
    """First what is known to be wrong, then what has rules that we do not know, at last all but free text."""
    described = table(["action:text", "user_id:uuid", "event_id:uuid"], ["order:int8", "note:int8"])
    described.user_columns["mood"] = Column("mood", "public.mood", None, None)
    described.user_columns["note"] = Column("note", "bigint", None, "int8", is_constrained=True)
    extra = {"order": 5, "mood": "odd", "note": 7}
    event = {"action": "a.b", "user_id": "ann", "event_id": NUMBER, "extra": extra}
    moved = [list(move_misfits(event, described, stays)) for stays in suspicions(is_alone=True)]
    assert moved == [["user_id"], ["note", "mood"], ["event_id", "order"]]
    assert len(list(suspicions(is_alone=False))) == 1


def test_what_makes_no_row_without_its_value_stays():
    """A required column is not emptied on suspicion, and the action only where its type is no text."""
    described = table(["action:text", "tenant_id:uuid", "user_id:uuid"])
    described.fields["action"] = Column("action", "text", None, "text", is_constrained=True, is_required=True)
    described.fields["tenant_id"] = Column("tenant_id", "uuid", None, "uuid", is_constrained=True, is_required=True)
    event = {"action": "a.b", "tenant_id": NUMBER, "user_id": NUMBER}
    moved = [list(move_misfits(event, described, stays)) for stays in suspicions(is_alone=True)]
    assert moved == [[], [], ["user_id"]]


def test_the_warning_names_what_was_moved(caplog):
    """Who reads it looks at the right value; and it says where there is no metadata."""
    line = '{"action":"page.view","user_id":"1"}'
    warn_of_moved([(line, {"target_id": 5, "mood": 6}), (line, {"x": 1})], table(["action:text", "metadata:jsonb"]))
    [told] = caplog.messages
    assert told == (
        "2 audit event(s) with a value that its column refuses; it is stored in their metadata "
        "(first: target_id, mood of action=page.view, user_id=1)"
    )


def test_the_warning_says_what_is_not_stored(caplog):
    """Without metadata the value is nowhere."""
    warn_of_moved([('{"action":"page.view"}', {"message": "long"})], table(["action:text"]))
    assert "it is not stored, for want of metadata (first: message of action=page.view)" in caplog.text
