"""What the writer does with what log calls took down: the same with many at once as with each."""

import json
import logging

import pytest

from pglog_audit import AuditFormatter
from pglog_audit.cleaning import Cleaner
from pglog_audit.finishing import Finisher, finish
from pglog_audit.finishing import finish_all as finish_with_heads
from pglog_audit.masking import Masker

PLAIN = {"action": "page.read", "user_label": "Ada", "metadata": {"pages": 3, "title": "Home", "old": None}}


def finish_all(snapshots):
    """Return the lines of *snapshots*, with heads that say no more than their number."""
    return finish_with_heads(snapshots, lambda: [f'{{"writer_seq":{seq},' for seq in range(len(snapshots))])


def taken_down(audit=PLAIN, message="Read", service=None):
    """Return what a log call leaves to the writer."""
    record = logging.makeLogRecord({"levelno": logging.INFO, "created": 1.5, "msg": message, "audit": audit})
    snapshot = AuditFormatter(service=service).snapshot(record)
    assert isinstance(snapshot, bytes)
    return snapshot


ODD = {
    "as many are": {},
    "a brace ends the sentence": {"message": "Read {"},
    "an event in the sentence": {"message": 'Read ,{"action":"page.delete"}]'},
    "a comma begins it": {"message": ',{"'},
    "of a service": {"service": "shop"},
    "a brace ends the service": {"service": "shop{"},
    "no sentence": {"message": ""},
    "a secret in the sentence": {"message": "GET /?token=abc"},
    "a header in the sentence": {"message": "sent Bearer abc"},
    "a secret in the metadata": {"audit": {**PLAIN, "metadata": {"url": "https://ada:hunter2@host"}}},
    "the name of a secret": {"audit": {**PLAIN, "metadata": {"password": "hunter2"}}},
    "nested": {"audit": {**PLAIN, "metadata": {"a": {"password": "hunter2"}, "b": [1.5]}}},
    "an empty text": {"audit": {**PLAIN, "user_label": ""}},
    "an empty metadata": {"audit": {**PLAIN, "metadata": {}}},
    "a text for metadata": {"audit": {**PLAIN, "metadata": "none"}},
    "changes": {"audit": {**PLAIN, "changes": {"name": ["a", "b"]}}},
    "an outcome": {"audit": {**PLAIN, "outcome": "denied"}},
    "a wrong outcome": {"audit": {**PLAIN, "outcome": "Denied"}},
    "a message of its own": {"audit": {**PLAIN, "message": "so"}},
    "a number for an id": {"audit": {**PLAIN, "user_id": 7}},
    "a column of the user's": {"audit": {**PLAIN, "colour": "red"}},
    "escaped": {"audit": {**PLAIN, "user_label": 'Ada "A" \\ \n'}},
    "NUL": {"audit": {**PLAIN, "user_label": "A\0"}},
    "no ASCII": {"audit": {**PLAIN, "user_label": "Zoë"}},
    "long": {"audit": {**PLAIN, "user_label": "x" * 1100}},
}


@pytest.mark.parametrize("name", ODD)
def test_many_are_finished_as_each_is(name):
    """What stands in one event, among others that are as most are, changes none of them."""
    finish(taken_down())  # so that the names are known
    snapshots = [taken_down(), taken_down(**ODD[name]), taken_down({**PLAIN, "user_label": "Bob"}, "Read it")]
    finished = finish_all(snapshots)
    assert [json.loads(line) for line in finished] == [
        {"writer_seq": seq, **json.loads(finish(snapshot))} for seq, snapshot in enumerate(snapshots)
    ]
    assert not any(secret in "".join(finished) for secret in ("abc", "hunter2"))


def test_what_is_usual_is_finished_as_a_whole(monkeypatch):
    """Nothing is done one by one with events that are as most are, with a service or without."""
    finish(taken_down())
    monkeypatch.setattr(Finisher, "finish", None)
    for service in (None, "shop"):
        assert len(finish_all([taken_down(service=service)] * 3)) == 3


def test_a_long_action_is_not_remembered():
    """Actions are remembered up to a length, whatever an application logs."""
    finisher = Finisher(Cleaner(Masker()))
    assert finisher.is_good("a." + "b" * 1000)
    assert finisher.good_actions == set()


def test_nothing_can_be_unreadable():
    """Among what is read there may be what nobody wrote: the others are what they were."""
    finished = finish_all([taken_down(), b"[1.5,\n", taken_down()])
    assert [json.loads(line)["action"] for line in finished] == ["page.read", "unknown", "page.read"]
