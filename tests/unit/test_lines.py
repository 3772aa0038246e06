"""The line: numbered by the caller, headed by the writer."""

import json
from uuid import RFC_4122, UUID, uuid4

import pytest

from pglog_audit import lines

SNAPSHOT = '{"occurred_at":1.5,"action":"a.b"}'


def test_a_number_is_put_in_front():
    """The number joins the snapshot's own fields, which stay as they are."""
    assert json.loads(lines.numbered(SNAPSHOT, 7)) == {"writer_seq": 7, "occurred_at": 1.5, "action": "a.b"}


def test_a_numbered_snapshot_is_recognised():
    """Whether a line has its number is told from its beginning."""
    assert lines.is_numbered(lines.numbered(SNAPSHOT, 1))
    assert not lines.is_numbered(SNAPSHOT)


def test_a_caller_cannot_pretend_to_have_numbered():
    """A caller's text that looks like a number is no number."""
    assert not lines.is_numbered('{"message":"{\\"writer_seq\\":1"}')


def test_a_head_gives_id_and_writer():
    """The line has the writer's id and a UUIDv7 of its own."""
    writer = uuid4()
    event = json.loads(lines.headed(lines.numbered(SNAPSHOT, 1), str(writer)))
    identity = UUID(event["id"])
    assert (identity.version, identity.variant) == (7, RFC_4122)
    assert UUID(event["writer_id"]) == writer
    assert event["action"] == "a.b"


def test_ids_rise():
    """Later lines have greater ids, so that the index grows at its end."""
    ids = [json.loads(lines.headed(SNAPSHOT, "w"))["id"] for _ in range(1000)]
    assert ids == sorted(set(ids))


def test_many_heads_have_rising_ids_too():
    """Heads that are made at once have numbers in order, and each a UUIDv7 greater than all before it."""
    lines_ = [f"{head}{SNAPSHOT[1:]}" for _ in range(3) for head in lines.new_heads(range(5, 605), str(uuid4()))]
    events = list(map(json.loads, lines_))
    ids = [event["id"] for event in events]
    assert ids == sorted(set(ids))
    assert {(UUID(one).version, UUID(one).variant) for one in ids} == {(7, RFC_4122)}
    assert [event["writer_seq"] for event in events] == 3 * list(range(5, 605))


@pytest.mark.parametrize("line", ["", "{}", "é", "€uro", "🔑", "a" * 1000 + "é"])
def test_a_size_is_in_bytes(line):
    """What is counted are the bytes that are sent."""
    assert lines.size(line) == len(line.encode())


@pytest.mark.parametrize("snapshot", [SNAPSHOT, "{}", '{"message":"é, ü, 🔑"}'])
@pytest.mark.parametrize("seq", [1, 99, 10**12])
def test_the_size_before_the_number_is_known(snapshot, seq):
    """What a snapshot took in the queue is given back when it leaves, whatever its number."""
    assert lines.size_unnumbered(lines.numbered(snapshot, seq)) == lines.size(snapshot)


def test_a_description_says_where_to_look():
    """A warning names action, user and hosted event, and no content."""
    line = json.dumps(
        {"action": "a.b", "user_id": 5, "event_id": "e", "metadata": {"x": "private"}, "message": "private"}
    )
    assert lines.describe(line) == "action=a.b, user_id=5, event_id=e"


def test_a_description_leaves_out_what_is_missing():
    """Fields that the event has not are not named."""
    assert lines.describe('{"action":"a.b","user_id":null}') == "action=a.b"


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, 10**1000, 0.1, -0.0, 1e300, "é🔑\n\\", [None, True, {"a": {}}]])
def test_a_line_parsed_and_rendered_is_the_same(value):
    """A repair leaves what it does not move exactly as it was."""
    line = lines.render({"metadata": {"x": value}})
    assert repr(lines.parse(line)["metadata"]["x"]) == repr(value)
    assert lines.render(lines.parse(line)) == line


def test_a_rendered_line_is_one_line():
    """A line break in a text stays inside the JSON."""
    assert "\n" not in lines.render({"message": "a\nb"})
