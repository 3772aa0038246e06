"""The short way and the careful way of the formatter lead to the same."""

import json
import logging
from collections import OrderedDict
from functools import partial
from itertools import repeat

from hypothesis import given, settings
from hypothesis import strategies as st

from pglog_audit import AuditFormatter
from pglog_audit.careful_lines import MAX_LINE
from pglog_audit.cleaning import Cleaner
from pglog_audit.event import CALLER_FIELDS, ID_FIELDS, JSON_FIELDS
from pglog_audit.finishing import Finisher, finish_all
from pglog_audit.masking import Masker
from tests.properties.strategies import (
    any_json,
    any_text,
    hashable,
    names,
    plain_text,
    python_objects,
    texts_with_secrets,
)

formatter = AuditFormatter()
TEXTS = sorted(CALLER_FIELDS - JSON_FIELDS - {"action", "occurred_at"})
OBJECTS = st.dictionaries(any_text, any_json, max_size=4)


def snapshot(audit):
    """Return what is stored of a log call with *audit*."""
    record = logging.makeLogRecord({"msg": "An event", "created": 1.5, "levelno": logging.INFO, "audit": audit})
    text = formatter.format(record)
    assert "\n" not in text
    assert len(text.encode()) <= MAX_LINE
    return {name: value for name, value in json.loads(text).items() if value not in (None, {})}


@given(
    st.fixed_dictionaries(
        {"action": st.just("a.b") | plain_text | any_text, "metadata": OBJECTS},
        optional={
            **dict.fromkeys(TEXTS, plain_text | any_text),
            **dict.fromkeys(sorted(ID_FIELDS), st.uuids() | st.integers(0, 2**70) | any_text),
            "changes": OBJECTS,
        },
    )
)
def test_both_ways_agree(audit):
    """An event that needs no care is stored as if it had been walked with care."""
    careful = snapshot({**audit, "metadata": OrderedDict(audit["metadata"])})
    assert repr(snapshot(audit)) == repr({name: careful[name] for name in snapshot(audit)})
    assert snapshot(audit).keys() == careful.keys()


@given(python_objects)
def test_an_audit_of_any_kind_is_one_short_line(audit):
    """Whatever stands in place of the dict, a line within its bound comes of it."""
    assert snapshot(audit)["action"]


@given(st.dictionaries(any_text | st.sampled_from(sorted(CALLER_FIELDS)), python_objects))
def test_a_dict_of_any_kind_is_one_short_line(audit):
    """Whatever stands in the dict, a line within its bound comes of it."""
    assert snapshot(audit)["action"]


metadata = st.dictionaries(names, plain_text | st.integers(0, 9), max_size=3)


@given(st.lists(st.tuples(plain_text, metadata), min_size=1, max_size=4))
def test_many_at_once_are_what_each_is(said):
    """However many events a slice of the queue has, each is stored as it would be alone."""
    events = [(message, {"action": "a.b", "metadata": metadata}) for message, metadata in said]
    records = [
        logging.makeLogRecord({"msg": message, "created": 1.5, "levelno": logging.INFO, "audit": audit})
        for message, audit in events
    ]
    snapshots = [formatter.snapshot(record) for record in records]
    heads = partial(repeat, "{", len(snapshots))
    finish_all(snapshots, heads)  # so that the names are known, and all are finished as a whole
    assert list(map(json.loads, finish_all(snapshots, heads))) == list(map(json.loads, map(formatter.format, records)))


few_names = st.sampled_from(["n", "title", "password", "action"])
values = st.sampled_from(["", "Ada", "Zoë", "it's: {x}", 'a "b"', 7, 1.5, True, None]) | texts_with_secrets | any_json
odd_events = st.fixed_dictionaries(
    {"action": st.sampled_from(["a.b", "a.c"])},
    optional={"user_label": values, "entity_type": values, "metadata": st.dictionaries(few_names, values, max_size=3)},
)
messages = st.sampled_from(["Read", "Read {x}"]) | texts_with_secrets
shared = Finisher(Cleaner(Masker()))


def stored(line):
    """Return what is stored of *line*: no metadata is as good as an empty one."""
    return {"metadata": {}, **json.loads(line)}


@settings(max_examples=300)
@given(st.lists(st.tuples(messages, odd_events), min_size=1, max_size=4))
def test_what_is_known_of_others_changes_none(said):
    """Whatever shapes were learned, a secret, an empty text or another kind of value is seen as at first."""
    records = [
        logging.makeLogRecord({"msg": message, "created": 1.5, "levelno": logging.INFO, "audit": audit})
        for message, audit in said
    ]
    snapshots = [snapshot for snapshot in map(formatter.snapshot, records) if isinstance(snapshot, bytes)]
    alone = [stored(Finisher(Cleaner(Masker())).finish(snapshot)) for snapshot in snapshots]
    assert list(map(stored, map(shared.finish, snapshots))) == alone
    if snapshots:
        assert list(map(stored, shared.finish_all(snapshots, partial(repeat, "{", len(snapshots))))) == alone


@settings(max_examples=1000)
@given(texts_with_secrets, st.sampled_from(["msg", "user_label", "metadata"]))
def test_a_journal_gets_nothing_that_would_be_masked(text, place):
    """What goes to a disk as it was given has no text that the masker would change, wherever it stands."""
    audit = {"action": "a.b"} | {"user_label": {"user_label": text}, "metadata": {"metadata": {"x": text}}}.get(
        place, {}
    )
    record = logging.makeLogRecord({"msg": text if place == "msg" else "Read", "levelno": logging.INFO, "audit": audit})
    assert isinstance(formatter.recordable(record), str) or Masker().mask_text(text) == text


@given(st.dictionaries(hashable, st.just("hunter2"), max_size=4))
def test_keys_of_any_kind_are_all_there(metadata):
    """Keys of whatever type are as many as they were, each with its value or a mask."""
    stored = snapshot({"action": "a.b", "metadata": metadata}).get("metadata", {})
    assert len(stored.keys() - {"_cleaned"}) == len(metadata)
    assert "None" not in stored or None in metadata
