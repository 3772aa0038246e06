"""The events that a writer logs of itself."""

import itertools
import json
import os
import socket

import pytest

from pglog_audit import diagnostics, lines
from pglog_audit.account import Account
from pglog_audit.own_events import OwnEvents

WRITER = "01a20db5-000d-75f1-b4eb-cc1ba947b80e"


def line(seq, action="ticket.open"):
    """Return the line of an event with the number *seq*."""
    return lines.headed(lines.numbered(json.dumps({"action": action}, separators=(",", ":")), seq), WRITER)


@pytest.fixture
def account():
    return Account()


def made(account, *, lifecycle=True, service=None, first=1):
    return OwnEvents(WRITER, account, itertools.count(first).__next__, service=service, lifecycle=lifecycle)


def events(rendered):
    """Return number, action and metadata of the *rendered* lines."""
    return [(e["writer_seq"], e["action"], e["metadata"]) for e in map(json.loads, rendered)]


def test_the_start_says_where_the_writer_runs(account):
    """It has the number 0, and names host, process and service."""
    (start,) = map(json.loads, made(account, service="shop").waiting())
    assert start["metadata"] == {"host": socket.gethostname(), "pid": os.getpid()}
    assert (start["writer_seq"], start["action"], start["service"]) == (0, "audit.start", "shop")
    assert start["writer_id"] == WRITER


def test_lines_wait_until_they_are_done(account):
    """What could not be written comes again, the same line with the same id."""
    own = made(account)
    assert own.waiting() == own.waiting() != []
    own.done(own.waiting())
    assert own.waiting() == []


def test_losses_are_told_by_reason(account):
    """Each reason has a row with ranges and count, and a number of its own."""
    own = made(account, lifecycle=False, first=9)
    account.lose("queue full", [line(1), line(2)])
    account.lose("exit", [line(5)])
    account.lose("queue full", [line(4)])
    assert events(own.waiting()) == [
        (9, "audit.gap", {"reason": "queue full", "ranges": [[1, 2], [4, 4]], "count": 3}),
        (10, "audit.gap", {"reason": "exit", "ranges": [[5, 5]], "count": 1}),
    ]
    assert {json.loads(each)["outcome"] for each in own.waiting()} == {"failure"}
    own.done(own.waiting())
    assert own.waiting() == []


def test_a_stop_says_which_number_was_the_last(account):
    """Where nothing came after a stop there is no second one."""
    own = made(account, first=4)
    own.done(own.waiting())
    assert events(own.waiting(last_seq=3)) == [(4, "audit.stop", {"last_seq": 3})]
    own.done(own.waiting())
    assert own.waiting(last_seq=4) == []
    assert [seq for seq, _, _ in events(own.waiting(last_seq=7))] == [5]


def test_without_lifecycle_there_are_gaps_alone(account):
    """The option leaves out starts and stops, not what was lost."""
    own = made(account, lifecycle=False)
    assert own.waiting(last_seq=1) == []
    account.lose("exit", [line(1)])
    assert [action for _, action, _ in events(own.waiting(last_seq=1))] == ["audit.gap"]


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"action": "audit.gap"}, True),
        ({"action": "auditing.start"}, False),
        ({"action": "ticket.open", "metadata": {"action": "audit.gap"}}, False),
        ({"metadata": {"action": "audit.gap"}, "action": "audit.stop"}, True),
    ],
)
def test_own_lines_are_known_by_their_action(event, expected):
    """What a caller writes into its metadata makes no line one of ours."""
    assert lines.is_own(json.dumps(event, separators=(",", ":"))) is expected


def test_a_loss_is_told_once(account, caplog):
    """The warning names the reason, the first event and how many more there are."""
    diagnostics.reset()
    account.lose("spool", [line(1), line(2), line(3)], "the disk is full")
    (record,) = caplog.records
    assert record.getMessage() == "Audit event lost (the disk is full): action=ticket.open and 2 more"
    assert account.stats()["lost"] == {"spool": 3}
    assert account.lost == 3


def test_nothing_lost_is_nothing_to_tell(account, caplog):
    """An empty list is no loss."""
    account.lose("exit", [])
    account.lose_unseen("writer", 0)
    assert (caplog.records, account.take_untold(), account.stats()["lost"]) == ([], [], {})


@pytest.mark.parametrize("head", [False, True])
def test_the_number_of_a_line(head):
    """It is read from a line and from a snapshot without its head, whatever the event says."""
    snapshot = lines.numbered('{"metadata":{"writer_seq":1}}', 42)
    assert lines.seq(lines.headed(snapshot, WRITER) if head else snapshot) == 42
    assert lines.size_unnumbered(lines.headed(snapshot, WRITER) if head else snapshot) == len(
        '{"metadata":{"writer_seq":1}}'
    )
