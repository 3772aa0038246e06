"""The shapes of plain events: what is known of one, and what is not taken for it."""

import logging
import sys
from concurrent.futures import ThreadPoolExecutor

import orjson
import pytest

from pglog_audit import AuditFormatter
from pglog_audit.cleaning import Cleaner
from pglog_audit.finishing import Finisher
from pglog_audit.masking import Masker
from pglog_audit.shapes import Shapes

EVENT = {"action": "page.read", "user_label": "Ada", "metadata": {"n": 3, "on": True, "title": "", "old": None}}


def snapshot(event, message="Read", service=None):
    """Return what a log call takes down of *event*."""
    record = logging.makeLogRecord({"levelno": logging.INFO, "created": 1.5, "msg": message, "audit": event})
    taken = AuditFormatter(service=service).snapshot(record)
    assert isinstance(taken, bytes)
    return taken.decode()


def learn(shapes, event):
    """Let *shapes* learn that of *event*."""
    shapes.learn(snapshot(event), event)


@pytest.fixture
def shapes():
    """Return shapes that know that of EVENT."""
    known = Shapes()
    learn(known, EVENT)
    return known


def test_parts_are_told_apart(shapes):
    """Time, sentence and fields stand there as they are in JSON; the service has its quotes."""
    event = {**EVENT, "user_label": "Bob", "metadata": {"n": -1.5e-07, "on": "x", "title": "{[,:", "old": False}}
    match = shapes.match(snapshot(event, "It is {x}, [1]", "shop"))
    time, sentence, service, fields = match.groups()
    assert (time, sentence, service) == ("1.5", "It is {x}, [1]", '"shop"')
    assert orjson.loads(f"{{{fields}}}") == event
    assert shapes.match(snapshot(EVENT))[3] == "null"


@pytest.mark.parametrize(
    "event",
    [
        {**EVENT, "action": "page.open"},
        {**EVENT, "user_label": ""},
        {**EVENT, "user_label": None},
        {**EVENT, "user_label": 7},
        {**EVENT, "entity_type": "page"},
        {"action": "page.read", "metadata": EVENT["metadata"], "user_label": "Ada"},
        {**EVENT, "metadata": {**EVENT["metadata"], "password": "hunter2"}},
        {**EVENT, "metadata": {**EVENT["metadata"], "n": {"password": "hunter2"}}},
        {**EVENT, "metadata": {**EVENT["metadata"], "n": ["hunter2"]}},
        {**EVENT, "metadata": None},
        {**EVENT, "user_label": {"n": 1}},
    ],
)
def test_another_shape_is_none(shapes, event):
    """Other names, another order, an empty text, a number where a text was, a dict inside: all this wants a look."""
    said = orjson.dumps((1.5, "Read", None, event))[1:-1].decode()
    assert shapes.match(said) is None
    assert shapes.match_all([snapshot(EVENT), said])[1] is None


def test_without_a_sentence_there_is_no_match(shapes):
    """An empty sentence is none, as one that is left out."""
    for sentence in ("", None):
        assert shapes.match(orjson.dumps((1.5, sentence, None, EVENT))[1:-1].decode()) is None


def test_several_places_may_log_one_action(shapes):
    """An action's events may have one or the other metadata; many are found however they are mixed."""
    other = {"action": "page.read", "metadata": {}}
    learn(shapes, other)
    texts = [snapshot(EVENT), snapshot(other), snapshot(EVENT)]
    assert [match.string for match in shapes.match_all(texts)] == texts


def test_a_name_in_the_metadata_is_no_action():
    """A name "action" in the metadata, though it comes first, hides nothing."""
    shapes, event = Shapes(), {"metadata": {"action": "close"}, "action": "a.b"}
    learn(shapes, event)
    assert shapes.match(snapshot(event))


def test_names_are_no_patterns():
    """A name stands for itself."""
    shapes = Shapes()
    learn(shapes, {"action": "a.b", "metadata": {"n+(x)|.*": 1}})
    assert shapes.match(snapshot({"action": "a.b", "metadata": {"n+(x)|.*": 2}}))
    assert not shapes.match(snapshot({"action": "a.b", "metadata": {"nn(x)": 2}}))


def test_what_can_match_no_snapshot_takes_no_place():
    """Of events with texts that want a look each time, and of long ones, no shape is learned; of others one each."""
    finisher = Finisher(Cleaner(Masker()))
    for text in ("Zoë", 'a "quoted" one', "Ada", "x" * 1000):
        for _ in range(3):
            for message in ("Read", "token=abc"):
                finisher.finish(snapshot({**EVENT, "user_label": text}, message).encode())
    assert finisher._shapes._count == 1


def test_threads_may_ask_at_once():
    """Callers finish their own events where there is no room for them, beside the writer: none is missed."""
    finisher = Finisher(Cleaner(Masker()))
    events = [{"action": "a.b", "metadata": {name: 1}} for name in "klmn"]
    snapshots = [snapshot(event).encode() for event in events]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            finished = list(pool.map(finisher.finish, snapshots * 500))
    finally:
        sys.setswitchinterval(interval)
    assert [orjson.loads(text)["metadata"] for text in finished] == [event["metadata"] for event in events] * 500


def test_they_are_bounded():
    """An application whose metadata has ever new names, or actions, does not fill the memory with patterns."""
    shapes = Shapes()
    for n in range(20):
        learn(shapes, {"action": "a.b", "metadata": {f"n{n}": 1}})
    for n in range(400):
        learn(shapes, {"action": f"a.b{n}"})
    events = [{"action": "a.b", "metadata": {f"n{n}": 1}} for n in range(20)]
    events += [{"action": f"a.b{n}"} for n in range(400)]
    assert sum(shapes.match(snapshot(event)) is not None for event in events) == 250
    assert len(shapes._patterns) <= 250
