"""From a log record to its snapshot: every rule for the fields, and that nothing logged is turned away."""

import json
import logging
import sys
import threading
from base64 import b64encode
from collections import ChainMap, OrderedDict, UserDict, deque, namedtuple
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum, Flag, IntEnum
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from uuid import UUID, uuid4

import pytest
import uuid_utils

from pglog_audit import AuditFilter, AuditFormatter, audit, audit_context
from pglog_audit.audit_records import is_audit_record
from pglog_audit.careful_lines import MAX_LINE, MAX_MESSAGE, MAX_TEXT
from pglog_audit.event import CALLER_FIELDS, ID_FIELDS, OUTCOMES, TEXT_FIELDS, WRITER_FIELDS
from pglog_audit.finishing import finish

LABELS = TEXT_FIELDS - {"action", "outcome", "request_id"}
"""Text fields without rules of their own."""


def record(given, msg="Logo replaced", **attributes):
    """Return the record of a log call with *given* as its ``audit``."""
    return logging.makeLogRecord({"name": "audit", "msg": msg, "levelno": logging.INFO, "audit": given, **attributes})


def snapshot(given, formatter=None, **attributes):
    """Return what is stored of a log call with *given* as its ``audit``."""
    return json.loads((formatter or AuditFormatter()).format(record(given, **attributes)))


def metadata(value, **options):
    """Return what is stored of *value* in the metadata."""
    return snapshot({"action": "a.b", "metadata": {"x": value}}, AuditFormatter(**options))["metadata"]


def warnings(caplog):
    return [entry.getMessage() for entry in caplog.records if entry.name == "pglog_audit"]


class Hostile:
    """An object that raises whatever one does with it."""

    def _refuse(self, *args):
        raise RuntimeError("hunter2")

    __str__ = __repr__ = __eq__ = __hash__ = __iter__ = __getitem__ = __len__ = __bool__ = __format__ = _refuse
    __class__ = property(_refuse)
    __dict__ = property(_refuse)


class HostileDict(dict):
    """A dict that raises whatever one does with it, as one that loads lazily may."""

    keys = items = values = get = __iter__ = __getitem__ = __len__ = __eq__ = __str__ = __repr__ = Hostile._refuse


class HostileText(str):
    """A text that raises whatever one does with it."""

    __slots__ = ()
    __str__ = __repr__ = __eq__ = __hash__ = __iter__ = __getitem__ = __len__ = __format__ = Hostile._refuse
    encode = startswith = lower = replace = __contains__ = Hostile._refuse


# The fields


def test_a_plain_event():
    """The usual log call is stored as it was given, with the record's time, sentence and outcome."""
    user, event = uuid4(), uuid4()
    given = audit("branding.update", user_id=user, event_id=event, metadata={"field": "logo"})["audit"]
    assert snapshot(given, created=1700000000.25) == {
        "action": "branding.update",
        "user_id": str(user),
        "event_id": str(event),
        "metadata": {"field": "logo"},
        "message": "Logo replaced",
        "outcome": "success",
        "occurred_at": 1700000000.25,
    }


def test_an_action_is_enough():
    """A caller may leave out everything else."""
    stored = snapshot({"action": "branding.update"})
    assert stored.items() >= {"action": "branding.update", "outcome": "success", "message": "Logo replaced"}.items()


@pytest.mark.parametrize("name", sorted(ID_FIELDS))
@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (uuid_utils.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        ("00000000-0000-0000-0000-000000000005", "00000000-0000-0000-0000-000000000005"),
        (17, 17),
        (0, 0),
        (2**63, 2**63),
        ("customer-17", "customer-17"),
        ("", None),
        (None, None),
    ],
)
def test_an_id(name, value, stored):
    """Ids are UUIDs, numbers or text, whatever the column takes; empty is NULL."""
    assert snapshot({"action": "a.b", name: value}).get(name) == stored


@pytest.mark.parametrize("name", sorted(LABELS))
@pytest.mark.parametrize(
    ("value", "stored"), [("Ann", "Ann"), ("", None), (None, None), (17, "17"), (1.5, "1.5"), ("é🔑", "é🔑")]
)
def test_a_text(name, value, stored):
    """Text is kept, a number becomes text, empty is NULL."""
    given = snapshot({"action": "a.b", name: value}).get(name)
    assert (given if given is None else str(given)) == stored


@pytest.mark.parametrize("name", sorted(LABELS | ID_FIELDS | {"source_ip"}))
@pytest.mark.parametrize("value", [["a"], {"a": 1}, ("a",), {"a"}, {}])
def test_a_container_is_no_text(name, value):
    """What can be no text or id moves to the metadata, where it can still be read."""
    stored = snapshot({"action": "a.b", name: value})
    assert stored[name] is None
    assert name in stored["metadata"]["_refused"]


@pytest.mark.parametrize("value", ["10.0.0.1", "::1", "10.0.0.0/8"])
def test_an_address(value):
    """An address is kept as text."""
    assert snapshot({"action": "a.b", "source_ip": value})["source_ip"] == value


def test_an_address_object():
    """Frameworks that parse addresses may pass theirs."""
    assert snapshot({"action": "a.b", "source_ip": ip_address("10.0.0.1")})["source_ip"] == "10.0.0.1"


@pytest.mark.parametrize("value", ["", "-", "none", "None", "NONE", "null", None])
def test_an_empty_request_id(value):
    """What stands for no request in log formats is NULL."""
    assert snapshot({"action": "a.b", "request_id": value}).get("request_id") is None


def test_changes():
    """Changes keep their shape: the field, the old value and the new one."""
    assert snapshot({"action": "a.b", "changes": {"logo": ["a.png", None]}})["changes"] == {"logo": ["a.png", None]}


@pytest.mark.parametrize("value", [["a", "b"], "logo", 5, True])
def test_changes_that_are_no_object(value):
    """Changes of another shape move to the metadata."""
    stored = snapshot({"action": "a.b", "changes": value})
    assert stored["changes"] is None
    assert stored["metadata"]["_refused"] == {"changes": value}


@pytest.mark.parametrize("value", [["a"], 5, True, "text", 0, False, []])
def test_metadata_that_is_no_object(value):
    """Metadata of another shape is kept as ``_value``."""
    assert snapshot({"action": "a.b", "metadata": value})["metadata"] == {"_value": value}


def test_no_metadata():
    """Without metadata there is an empty object, or nothing, which the column's default fills."""
    assert snapshot({"action": "a.b"}).get("metadata", {}) == {}
    assert snapshot({"action": "a.b", "metadata": None}).get("metadata", {}) == {}


@pytest.mark.parametrize("name", sorted(CALLER_FIELDS - {"action"}))
def test_none_is_accepted_everywhere(name):
    """A field that is None fails nothing and refuses nothing."""
    stored = snapshot({"action": "a.b", name: None})
    assert stored["action"] == "a.b"
    assert stored["metadata"] == {}


def test_other_keys_travel_beside_the_fields():
    """A key that is none of our fields waits for the table to say whether it is a column."""
    stored = snapshot({"action": "a.b", "order_id": 17, "shop": {"id": 3}})
    assert stored["extra"] == {"order_id": 17, "shop": {"id": 3}}


# The action


@pytest.mark.parametrize("action", ["branding.update", "a.b", "a1.b_2", "shop.order.cancel", "a." + "b" * 1000])
def test_a_good_action(action, caplog):
    """``entity.verb`` is stored without a word."""
    assert snapshot({"action": action})["action"] == action
    assert warnings(caplog) == []


@pytest.mark.parametrize(
    "action",
    ["updated", "Branding.update", "branding..update", "branding.", ".a", "1.b", "a-b.c", "a b", "é.b", "a.b\n"],
)
def test_an_action_that_breaks_the_pattern(action, caplog):
    """Another form is stored as it is; a warning, said once, shows the right one."""
    formatter = AuditFormatter()
    for _ in range(3):
        assert snapshot({"action": action}, formatter)["action"] == action
    assert [message for message in warnings(caplog) if repr(action) in message and "entity.verb" in message] == (
        warnings(caplog)
    )
    assert len(warnings(caplog)) == 1


@pytest.mark.parametrize("given", [{}, {"action": ""}, {"action": None}])
def test_a_missing_action(given, caplog):
    """An event without an action is stored as unknown, and a warning says so."""
    stored = snapshot({**given, "entity_type": "logo"})
    assert (stored["action"], stored["entity_type"]) == ("unknown", "logo")
    assert len(warnings(caplog)) == 1


@pytest.mark.parametrize("action", [17, True, 1.5, ["a.b"], {"a": "b"}, b"a.b", ("a", "b")])
def test_an_action_that_is_no_text(action):
    """The event is stored as unknown, with what was given in the metadata."""
    stored = snapshot({"action": action, "entity_type": "logo"})
    assert (stored["action"], stored["entity_type"]) == ("unknown", "logo")
    assert "action" in stored["metadata"]["_refused"]


@pytest.mark.parametrize("action", ["audit.start", "audit.gap", "audit.x.y", "audit."])
def test_an_action_of_ours(action):
    """No caller writes the audit trail's own rows: its event is stored as unknown, with the name that it gave."""
    stored = snapshot({"action": action})
    assert stored["action"] == "unknown"
    assert stored["metadata"]["_refused"] == {"action": action}


@pytest.mark.parametrize("action", ["auditor.call", "audits.add", "my.audit.start"])
def test_an_action_like_ours(action):
    """Only the prefix ``audit.`` is ours."""
    assert snapshot({"action": action})["action"] == action


def test_an_action_of_an_enum():
    """Applications keep their actions in an enumeration."""

    class Action(str, Enum):  # noqa: UP042 - StrEnum formats itself
        UPDATE = "branding.update"

    assert snapshot({"action": Action.UPDATE})["action"] == "branding.update"


@pytest.mark.parametrize(
    ("action", "stored"),
    [
        ("a.b\0c", "a.b\ufffdc"),
        ("a.b\ud800", "a.b\ufffd"),
        ("login?token=hunter2", "login?token=***"),
        ("é" * 2000, "é" * 510 + "…"),
    ],
)
def test_an_action_is_cleaned(action, stored):
    """An action is cleaned and cut like every text: it stands in an indexed column."""
    assert (
        snapshot({"action": action, "entity_type": "logo"}).items()
        >= {
            "action": stored,
            "entity_type": "logo",
        }.items()
    )


# The outcome


@pytest.mark.parametrize(
    ("level", "outcome"),
    [
        (logging.DEBUG, "success"),
        (logging.INFO, "success"),
        (logging.WARNING, "success"),
        (logging.ERROR, "failure"),
        (logging.CRITICAL, "failure"),
        (45, "failure"),
    ],
)
def test_the_level_tells_the_outcome(level, outcome):
    """From ERROR on an event reports a failure."""
    assert snapshot({"action": "a.b"}, levelno=level)["outcome"] == outcome


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("level", [logging.INFO, logging.ERROR])
def test_a_given_outcome_wins(outcome, level):
    """What the caller says of the outcome is kept at every level."""
    assert snapshot({"action": "a.b", "outcome": outcome}, levelno=level)["outcome"] == outcome


@pytest.mark.parametrize("level", [logging.INFO, logging.ERROR])
@pytest.mark.parametrize("outcome", [None, ""])
def test_an_empty_outcome_is_none(outcome, level):
    """An empty outcome leaves the decision to the level."""
    expected = "failure" if level == logging.ERROR else "success"
    assert snapshot({"action": "a.b", "outcome": outcome}, levelno=level)["outcome"] == expected


@pytest.mark.parametrize("outcome", ["ok", "Success", 1, True, ["success"], "success "])
def test_an_unknown_outcome(outcome):
    """A word that is no outcome is stored as unknown, and kept in the metadata."""
    stored = snapshot({"action": "a.b", "outcome": outcome})
    assert stored["outcome"] == "unknown"
    assert stored["metadata"]["_refused"] == {"outcome": outcome}


def exception_info():
    error = KeyError("hunter2")
    return type(error), error, None


@pytest.mark.parametrize("given", [{}, {"metadata": {}}, {"metadata": None}])
def test_an_exception_is_a_failure(given):
    """With exc_info the event is a failure, and the exception's type is kept, never its text."""
    stored = snapshot({"action": "a.b", **given}, exc_info=exception_info())
    assert (stored["outcome"], stored["metadata"]) == ("failure", {"exception": "KeyError"})
    assert "hunter2" not in json.dumps(stored)


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ({"field": "logo"}, {"exception": "KeyError", "field": "logo"}),
        ({"exception": "mine"}, {"exception": "mine"}),
        (MappingProxyType({"field": "logo"}), {"exception": "KeyError", "field": "logo"}),
        (OrderedDict(field="logo"), {"exception": "KeyError", "field": "logo"}),
        (SimpleNamespace, {"exception": "KeyError", "_value": "SimpleNamespace"}),
        (["logo"], {"exception": "KeyError", "_value": ["logo"]}),
    ],
)
def test_an_exception_stands_beside_the_metadata(given, stored):
    """The caller's metadata is kept, whatever it is, and wins over the exception's name."""
    assert snapshot({"action": "a.b", "metadata": given}, exc_info=exception_info())["metadata"] == stored


@dataclass
class Point:
    x: int
    password: str = "hunter2"
    inner: "Point | None" = None


def test_an_exception_stands_beside_a_dataclass():
    """Metadata may be a dataclass with an exception as without."""
    stored = snapshot({"action": "a.b", "metadata": Point(1)}, exc_info=exception_info())
    assert stored["metadata"] == {"exception": "KeyError", "x": 1, "password": "***", "inner": None}


def test_no_exception_under_way():
    """``exc_info=True`` outside of an except block reports no exception and no failure."""
    stored = snapshot({"action": "a.b"}, exc_info=(None, None, None))
    assert (stored["outcome"], stored["metadata"]) == ("success", {})


def test_a_given_outcome_wins_over_the_exception():
    """A denial that was raised is a denial."""
    stored = snapshot({"action": "a.b", "outcome": "denied"}, exc_info=exception_info())
    assert (stored["outcome"], stored["metadata"]) == ("denied", {"exception": "KeyError"})


# The time


@pytest.mark.parametrize(
    "given",
    [
        datetime(2020, 1, 2, 3, 4, 5, 678901, UTC),
        datetime(2020, 1, 2, 5, 4, 5, 678901, timezone(timedelta(hours=2))),
        "2020-01-02T03:04:05.678901+00:00",
        "2020-01-02T03:04:05.678901Z",
        "2020-01-02 05:04:05.678901+02:00",
    ],
)
def test_an_aware_time_is_taken(given):
    """An event of the past keeps its time, to the microsecond."""
    stored = snapshot({"action": "a.b", "occurred_at": given})
    assert datetime.fromtimestamp(stored["occurred_at"], UTC) == datetime(2020, 1, 2, 3, 4, 5, 678901, UTC)
    assert stored["metadata"] == {}


class Undecided(tzinfo):
    """A time zone without an offset: by the rules of datetime such a time is naive."""

    utcoffset = lambda self, when: None  # noqa: E731


class Broken(tzinfo):
    """A time zone that fails."""

    utcoffset = Hostile._refuse


@pytest.mark.parametrize(
    "given",
    [
        datetime(2020, 1, 2),  # noqa: DTZ001 - that is the point
        datetime(2020, 1, 2, tzinfo=Undecided()),
        datetime(2020, 1, 2, tzinfo=Broken()),
        "2020-01-02T03:04:05",
        "yesterday",
        "",
        date(2020, 1, 2),
        1577934245,
        True,
        [2020],
        "9" * 100_000,
    ],
    ids=lambda given: f"{type(given).__name__} {str(given)[:30]}" if not isinstance(given, datetime) else "datetime",
)
def test_a_time_that_says_no_moment(given, caplog):
    """A naive time would take a time zone by chance: the record's is stored, and the given one kept."""
    stored = snapshot({"action": "a.b", "occurred_at": given, "entity_type": "logo"}, created=1700000000.25)
    assert (stored["occurred_at"], stored["entity_type"]) == (1700000000.25, "logo")
    assert "occurred_at" in stored["metadata"]["_refused"]
    assert any("aware datetime" in message for message in warnings(caplog))


@pytest.mark.parametrize("year", [1, 1900, 9999])
def test_a_time_far_away(year):
    """Every datetime of Python's is a moment."""
    moment = datetime(year, 6, 1, tzinfo=UTC)
    stored = snapshot({"action": "a.b", "occurred_at": moment})
    assert datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=stored["occurred_at"]) == moment


# The message


def test_the_message_is_the_sentence():
    """The log call's sentence is stored with its arguments in place."""
    assert snapshot({"action": "a.b"}, msg="%s replaced %d", args=("Ann", 3))["message"] == "Ann replaced 3"


def test_a_message_of_the_caller_wins():
    """A caller may give another sentence."""
    assert snapshot({"action": "a.b", "message": "Mine"})["message"] == "Mine"


@pytest.mark.parametrize("level", [logging.INFO, logging.ERROR])
def test_the_message_may_be_left_out(level):
    """With store_message=False nothing of the sentence is stored."""
    stored = snapshot({"action": "a.b"}, AuditFormatter(store_message=False), msg="hunter2", levelno=level)
    assert "hunter2" not in json.dumps(stored)


@pytest.mark.parametrize(
    "args", [lambda: (1, 2), lambda: ("x",), lambda: ({},), lambda: (Hostile(), Hostile(), Hostile())]
)
def test_format_arguments_that_do_not_fit(args):
    """The sentence is stored as it was written, and says that its arguments did not fit."""
    assert snapshot({"action": "a.b"}, msg="%d of %d %d", args=args())["message"].startswith("%d of %d %d (bad")


@pytest.mark.parametrize("kind", [Hostile, HostileText])
def test_a_message_that_cannot_be_read(kind):
    """A message whose __str__ raises costs no event its fields."""
    stored = snapshot({"action": "a.b", "entity_type": "logo"}, msg=kind())
    assert (stored["action"], stored["entity_type"]) == ("a.b", "logo")


@pytest.mark.parametrize(("msg", "stored"), [(17, "17"), (None, "None"), (ValueError("x"), "x"), ("", None)])
def test_a_message_that_is_no_text(msg, stored):
    """A message object is stored as it prints itself."""
    assert snapshot({"action": "a.b"}, msg=msg).get("message") == stored


@pytest.mark.parametrize(
    ("msg", "stored"),
    [
        ("GET /x?token=hunter2", "GET /x?token=***"),
        ("with Bearer hunter2", "with Bearer ***"),
        ("with beArer hunter2", "with beArer ***"),
        ("to postgresql://app:hunter2@db/app", "to postgresql://app:***@db/app"),
    ],
)
def test_a_secret_in_the_message_is_masked(msg, stored):
    """What a sentence repeats of a URL or a header is masked."""
    assert snapshot({"action": "a.b"}, msg=msg)["message"] == stored


# The origin


def test_the_service_of_the_option(monkeypatch):
    """The option names the application, also where OpenTelemetry calls it otherwise."""
    monkeypatch.setenv("OTEL_SERVICE_NAME", "otel")
    assert snapshot({"action": "a.b"}, AuditFormatter(service="shop"))["service"] == "shop"


def test_the_service_of_opentelemetry(monkeypatch):
    """Without an option OpenTelemetry's variable names the application."""
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
    assert snapshot({"action": "a.b"})["service"] == "shop"


@pytest.mark.parametrize("level", [logging.INFO, logging.ERROR])
def test_a_given_service_wins(level):
    """A call may say that it speaks for another application."""
    assert snapshot({"action": "a.b", "service": "cron"}, AuditFormatter(service="shop"), levelno=level)["service"] == (
        "cron"
    )


@pytest.mark.parametrize("level", [logging.INFO, logging.ERROR])
def test_the_context_is_added(level):
    """Fields of the context are part of the event, and what the call gives wins."""
    with audit_context(user_id=1, tenant_id=2, outcome="denied", service="cron"):
        stored = snapshot({"action": "a.b", "user_id": 3}, AuditFormatter(service="shop"), levelno=level)
    assert (stored["user_id"], stored["tenant_id"], stored["outcome"], stored["service"]) == (3, 2, "denied", "cron")


@pytest.mark.parametrize(
    ("given", "attributes", "expected"),
    [
        ({"request_id": "call"}, {"request_id": "record", "correlation_id": "correlation"}, "call"),
        ({}, {"request_id": "record", "correlation_id": "correlation"}, "record"),
        ({}, {"correlation_id": "correlation"}, "correlation"),
        ({}, {"request_id": "-", "correlation_id": "correlation"}, "correlation"),
        ({}, {"request_id": None}, "context"),
        ({}, {"request_id": "-"}, "context"),
        ({}, {}, "context"),
        ({"request_id": None}, {}, "context"),
        ({"request_id": ""}, {}, "context"),
        ({"request_id": None}, {"request_id": "record"}, "record"),
    ],
)
def test_where_the_request_id_comes_from(given, attributes, expected):
    """The call, the record's two attributes, the context: the first that has one."""
    with audit_context(request_id="context"):
        assert snapshot({"action": "a.b", **given}, **attributes)["request_id"] == expected


def test_sources_of_the_request_id():
    """The application's own sources are asked in order; one that fails is passed over, with a warning."""
    sources = [lambda: 1 / 0, lambda: "-", lambda: uuid4, lambda: "never"]
    assert "uuid4" in snapshot({"action": "a.b"}, AuditFormatter(request_id_from=sources))["request_id"]


def test_a_source_that_fails_is_reported(caplog):
    """The warning names the error's type and no text."""
    snapshot({"action": "a.b"}, AuditFormatter(request_id_from=lambda: 1 / 0))
    assert warnings(caplog) == ["request_id_from failed with ZeroDivisionError"]


@pytest.mark.parametrize("source", [Hostile, HostileText])
def test_a_request_id_that_cannot_be_read(source):
    """A proxy that is bound to no request costs no event its fields."""
    stored = snapshot({"action": "a.b", "entity_type": "logo"}, AuditFormatter(request_id_from=source))
    assert (stored["action"], stored["entity_type"]) == ("a.b", "logo")


# The writer's fields and the caller's dict


@pytest.mark.parametrize("name", sorted(WRITER_FIELDS))
@pytest.mark.parametrize("level", [logging.INFO, logging.ERROR])
def test_the_writers_fields_are_never_taken(name, level):
    """What only the writer or the server sets is kept in the metadata, and set by nobody else."""
    stored = snapshot({"action": "a.b", name: "forged"}, levelno=level)
    assert name not in stored
    assert name not in stored.get("extra", {})
    assert stored["metadata"]["_refused"] == {name: "forged"}


def test_the_callers_dict_is_not_changed():
    """Whatever is completed, moved and masked: the caller's objects stay as they are."""
    given = {"action": 5, "id": 1, "metadata": {"password": "hunter2", "list": [{"token": "x"}]}, "order": {"pw": "x"}}
    before = repr(given)
    snapshot(given, exc_info=exception_info())
    snapshot({**given, "action": "a.b"})
    assert repr(given) == before


@pytest.mark.parametrize("level", [logging.INFO, logging.ERROR])
def test_later_changes_have_no_effect(level):
    """The snapshot is text: what the caller does to its dict afterwards is not seen."""
    given = {"action": "a.b", "metadata": {"list": [1]}}
    text = AuditFormatter().format(record(given, levelno=level))
    given["metadata"]["list"].append(2)
    given["action"] = "c.d"
    assert json.loads(text).items() >= {"action": "a.b", "metadata": {"list": [1]}}.items()


@pytest.mark.parametrize("given", [None, "branding.update", 17, ["a.b"], ("a.b", "c"), b"x", True, object()])
def test_an_audit_that_is_no_dict(given):
    """It is stored, and the row says what was wrong."""
    stored = snapshot(given)
    assert (stored["action"], stored["message"]) == ("unknown", "Logo replaced")
    kept = {**stored.get("extra", {}), **stored["metadata"]}
    assert "_value" in kept
    assert any("dict" in mark for mark in kept["_cleaned"])


@pytest.mark.parametrize("kind", [OrderedDict, UserDict, MappingProxyType, ChainMap, type("Own", (dict,), {})])
def test_an_audit_that_is_another_mapping(kind):
    """Any mapping is as good as a dict."""
    stored = snapshot(kind({"action": "a.b", "metadata": {"x": 1}}))
    assert (stored["action"], stored["metadata"]) == ("a.b", {"x": 1})


@pytest.mark.parametrize("key", [1, None, ("a",), 1.5, b"x", Point], ids=repr)
def test_keys_that_are_no_text(key):
    """A key of the audit dict that is no text is kept under its text."""
    stored = snapshot({"action": "a.b", key: "x"})
    assert stored["action"] == "a.b"
    assert list(stored["extra"].values()) == ["x"]


class Setting(Enum):
    """Names of settings, as an application's own keys have them."""

    COLOUR = "colour"
    LIMIT = 1
    PAIR = (1, 2)
    PASSWORD = 2
    OTHER = "api_key"
    SECRET = (3,)
    RAW = b"raw"


Place = namedtuple("Place", "row column")


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (Setting.COLOUR, "colour"),
        (Setting.LIMIT, "1"),
        (Setting.RAW, "raw"),
        (IntEnum("Level", "LOW").LOW, "1"),
        (Flag("Right", "READ WRITE")(3), "3"),
        (Enum("Text", {"A": "a"}, type=str).A, "a"),
        ("größe".encode(), "größe"),
        (UUID(int=4), "00000000-0000-0000-0000-000000000004"),
    ],
    ids=str,
)
def test_keys_that_have_a_name(key, name):
    """A member of an Enum is stored as its value, bytes as the text that they are."""
    assert metadata({key: 1}) == {"x": {name: 1}}


def test_a_key_of_bytes_that_are_no_text():
    """Such a key is stored in base64, and the row says so."""
    assert metadata({b"\xff\xfe": 1}) == {"x": {"__4=": 1}, "_cleaned": ["metadata: bytes as base64"]}


@pytest.mark.parametrize(
    ("key", "name", "kind"),
    [
        (Setting.PAIR, "Setting.PAIR", "Setting"),
        (Setting, "<enum 'Setting'>", type(Setting).__name__),
        ((0, "a"), "(0, 'a')", "tuple"),
        (Place(1, 2), "Place(row=1, column=2)", "Place"),
        (frozenset([1]), "frozenset({1})", "frozenset"),
    ],
    ids=str,
)
def test_keys_that_are_printed(key, name, kind):
    """Any other key is stored as its text, and the row says so."""
    assert metadata({key: 1}) == {"x": {name: 1}, "_cleaned": [f"metadata: {kind} as a name"]}


@pytest.mark.parametrize(
    "key", [Setting.OTHER, Setting.PASSWORD, Setting.SECRET, b"password", ("user", "password")], ids=str
)
def test_keys_that_name_a_secret(key):
    """A secret is masked under the name of its key, and under that of the Enum's member, whatever their type."""
    assert list(metadata({key: "hunter2"})["x"].values()) == ["***"]


def test_a_secret_in_a_key():
    """What a key prints is masked, too."""
    key = dataclass(frozen=True)(type("Login", (), {"__annotations__": {"password": str}}))("hunter2")
    assert "hunter2" not in json.dumps(metadata({key: 1}))


def test_keys_of_several_types_that_become_the_same():
    """Nothing is lost where an Enum's member has the text of another key."""
    stored = metadata({Setting.LIMIT: "member", 1: "number", "1": "text", b"1": "bytes"})
    assert sorted(stored["x"].values()) == ["bytes", "member", "number", "text"]
    assert stored["_cleaned"] == ["metadata: names made different"]


def test_a_key_that_cannot_be_printed():
    """A key that holds what raises is told, and its value kept."""

    class Unprintable:
        def __repr__(self):
            raise RuntimeError

    stored = metadata({(Unprintable(),): 1, "b": 2})
    assert sorted(stored["x"].values()) == [1, 2]
    assert "metadata: tuple could not be read (RuntimeError)" in stored["_cleaned"]


def test_a_deep_member_of_an_enum():
    """On the last level that is kept stands the member's value."""
    value = Setting.COLOUR
    for _ in range(98):
        value = [value]
    assert "colour" in json.dumps(metadata(value))


# Whatever is logged is stored


@pytest.mark.parametrize("name", sorted(CALLER_FIELDS | WRITER_FIELDS | {"order_id"}))
@pytest.mark.parametrize("kind", [Hostile, HostileDict, HostileText])
def test_a_hostile_value_costs_only_itself(name, kind):
    """A value that raises at every touch takes no other field with it."""
    other = "entity_type" if name != "entity_type" else "user_label"
    stored = snapshot({"action": "a.b", other: "kept", name: kind()})
    assert stored[other] == "kept"
    assert stored["action"] == ("a.b" if name != "action" else stored["action"])
    assert "hunter2" not in json.dumps(stored)


@pytest.mark.parametrize("kind", [Hostile, HostileDict, HostileText])
@pytest.mark.parametrize("key", ["x", "password"])
def test_a_hostile_value_inside_the_metadata(key, kind):
    """A proxy that is bound to no request costs only its own place, also under a secret's name."""
    stored = snapshot({"action": "a.b", "metadata": {"before": 1, key: kind(), "after": [kind(), 2]}})["metadata"]
    assert (stored["before"], stored["after"][1]) == (1, 2)
    assert key in stored


def test_a_hostile_audit():
    """An audit that raises at every touch is stored, and marked."""
    for kind in (Hostile, HostileDict, HostileText):
        stored = snapshot(kind())
        assert {**stored.get("extra", {}), **stored["metadata"]}["_cleaned"]


def test_a_hostile_key():
    """A key that raises leaves its neighbours alone."""

    class Key(Hostile):
        __hash__ = object.__hash__
        __eq__ = object.__eq__

    assert metadata({Key(): 1, "b": 2})["x"]["b"] == 2


def test_what_could_not_be_read_is_marked():
    """The row says where something could not be read, and of what type it was."""

    class Proxy:
        def __str__(self):
            raise RuntimeError("hunter2")

        __repr__ = __str__

    marks = metadata(Proxy())["_cleaned"]
    assert any("metadata" in mark and "Proxy" in mark for mark in marks)
    assert "hunter2" not in str(marks)


@pytest.mark.parametrize("given", [(1, 2), (), True, (None,)])
def test_an_exception_information_that_is_none(given):
    """Logging takes any tuple for exc_info; it costs neither the event nor its outcome."""
    stored = snapshot({"action": "a.b", "metadata": {"n": 1}}, exc_info=given)
    assert (stored["action"], stored["outcome"], stored["metadata"]) == ("a.b", "success", {"n": 1})


@pytest.mark.parametrize("attribute", ["created", "levelno", "exc_info", "msg", "args", "name"])
def test_a_record_without_an_attribute(attribute):
    """A record factory that leaves something out loses no event."""
    incomplete = record({"action": "a.b"})
    delattr(incomplete, attribute)
    stored = json.loads(AuditFormatter().format(incomplete))
    assert stored["occurred_at"] > 0
    assert stored["action"] == "a.b" or stored["metadata"]["_cleaned"]


def test_an_interrupt_passes():
    """Ctrl-C in the middle of a log call is the application's."""

    class Interrupting:
        def __str__(self):
            raise KeyboardInterrupt

        __repr__ = __str__

    with pytest.raises(KeyboardInterrupt):
        snapshot({"action": "a.b", "metadata": {"x": Interrupting()}})


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (uuid4(), str),
        (Decimal("1.50"), lambda value: "1.50"),
        (datetime(2020, 1, 2, tzinfo=UTC), lambda value: "2020-01-02T00:00:00+00:00"),
        (date(2020, 1, 2), lambda value: "2020-01-02"),
        (timedelta(1), str),
        (Path("/tmp/x"), str),
        ((1, 2), list),
        ({1}, list),
        (deque([1]), list),
        (frozenset(), list),
        (UserDict(a=1), dict),
        (range(3), str),
        (int, lambda value: "int"),
        (ValueError("x"), lambda value: "ValueError: x"),
        (Enum("Colour", "RED").RED, lambda value: 1),
        (True, bool),
        (b"abc", bytes.decode),
        (bytearray(b"abc"), bytearray.decode),
        (memoryview(b"abc"), lambda value: "abc"),
        ("größe🔑".encode(), bytes.decode),
        (b"", bytes.decode),
        (
            Point(1, inner=Point(2)),
            lambda _: {"x": 1, "password": "***", "inner": {"x": 2, "password": "***", "inner": None}},
        ),
        (namedtuple("Pair", "a token")(1, "t"), lambda _: {"a": 1, "token": "***"}),
        (OrderedDict(b=1, a=2), dict),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_that_json_does_not_know(value, stored):
    """Python's everyday types are stored as people would write them."""
    assert metadata(value) == {"x": stored(value)}


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_are_masked_as_the_text_that_they_are(kind):
    """The body of a request is masked, though the framework has not decoded it."""
    body = json.dumps({"user": "ada", "password": "hunter2"})
    assert metadata(kind(body.encode())) == metadata(body) == {"x": '{"user": "ada", "password": ***}'}


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_in_a_field(kind):
    """A header that a server gives as bytes is a text, cleaned and cut as every other."""
    for value in ("Mozilla/5.0", "x?token=hunter2", "", "é" * 2000):
        given = {"action": "a.b", "user_agent": kind(value.encode()), "metadata": {"x": 1}}
        assert snapshot(given, created=1.5) == snapshot({**given, "user_agent": value}, created=1.5)


@pytest.mark.parametrize("value", [b"a\xffb", bytearray(b"a\xffb"), memoryview(b"a\xffb"), b"a\0b", bytes(4)])
def test_bytes_that_are_no_text(value):
    """What is not UTF-8, or has a NUL, as numbers do, is stored in base64, and the row says where."""
    mark, text = f"{type(value).__name__} as base64", b64encode(value).decode()
    assert metadata(value) == {"x": text, "_cleaned": [f"metadata: {mark}"]}
    stored = snapshot({"action": "a.b", "user_agent": value})
    assert stored["user_agent"] == text
    assert stored["metadata"] == {"_cleaned": [f"user_agent: {mark}"]}


def test_bytes_are_masked_before_they_are_queued_or_in_a_journal():
    """No short way leads past the mask."""
    given = record({"action": "a.b", "metadata": {"body": b"password=hunter2"}})
    for take in (AuditFormatter().snapshot, AuditFormatter().recordable):
        assert json.loads(take(given))["metadata"] == {"body": "password=***"}


def test_bytes_that_are_gone():
    """A memoryview that was released costs only itself."""
    gone = memoryview(b"abc")
    gone.release()
    assert metadata([gone, 1])["x"] == ["__could_not_encode__", 1]


@pytest.mark.parametrize("value", [2**63, 2**64, -(2**63) - 1, 10**30, -(10**1000)])
def test_integers_stay_exact(value):
    """An integer of any length is the same number in the table."""
    assert metadata(value) == {"x": value}


def test_integers_as_names_stay_exact():
    """A name that is an integer of any length is its digits."""
    assert snapshot({"action": "a.b", "metadata": {2**70: 1, 7: 2}})["metadata"] == {str(2**70): 1, "7": 2}


def test_an_integer_beyond_measure_is_text():
    """An integer of thousands of digits is stored exactly, as text."""
    stored = metadata(2**5000)
    assert int(stored["x"], 16) == 2**5000
    assert stored["_cleaned"]


@pytest.mark.parametrize(
    ("value", "stored"), [(float("nan"), "NaN"), (float("inf"), "Infinity"), (float("-inf"), "-Infinity")]
)
def test_numbers_that_json_has_not(value, stored):
    """They are stored as text, with a mark."""
    assert metadata(value) == {"x": stored, "_cleaned": ["metadata: not a number as text"]}


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ("a\0b", "a\ufffdb"),
        ("\ud83d\udd11", "🔑"),
        ("\ud800x", "\ufffdx"),
        ("x\udc00\ud800", "x\ufffd\ufffd"),
        ("\ufeffx", "\ufeffx"),
    ],
    ids=ascii,
)
def test_characters_that_postgresql_has_not(value, stored):
    """NUL and lone halves of a pair are replaced, and a whole pair is its character."""
    assert metadata(value)["x"] == stored
    assert snapshot({"action": "a.b", "user_label": value})["user_label"] == stored
    assert list(metadata({value: 1})["x"]) == [stored]


def test_a_replaced_character_is_marked():
    """The row says in which field something was replaced."""
    stored = snapshot({"action": "a.b", "user_label": "a\0b", "metadata": {"x": "\ud800"}})
    assert stored["metadata"]["_cleaned"] == ["metadata: surrogate replaced", "user_label: NUL replaced"]


def test_nothing_is_marked_without_need():
    """A value that is merely unusual leaves no mark."""
    stored = snapshot({"action": "a.b", "order": 1, "metadata": {"x": (1, Point(1)), "y": "é\n\\u0000"}})
    assert "_cleaned" not in stored["metadata"]


def test_a_cleaned_event_is_reported(caplog):
    """The log says which event was stored changed, and in which way."""
    snapshot({"action": "a.b", "metadata": {"x": "\0"}})
    assert warnings(caplog) == ["Audit event a.b was stored changed: metadata: NUL replaced (:0)"]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"outcome": "Denied"}, "outcome is none of success, failure, denied, unknown"),
        ({"occurred_at": "2026-01-02"}, "occurred_at is no aware datetime"),
        (
            {"recorded_at": 1, "writer_seq": 2},
            "recorded_at is set by the writer alone; writer_seq is set by the writer",
        ),
        ({"changes": "name"}, "changes has no value that fits"),
        ({"user_id": [1]}, "user_id has no value that fits"),
        ({"action": "audit.gap"}, "action is no text, or audit.*, which is ours"),
    ],
)
def test_what_is_refused_is_reported(caplog, given, reason):
    """The log says what of an event did not get to its column, why, and where it was logged."""
    snapshot({"action": "a.b", **given})
    [warning] = [text for text in warnings(caplog) if "keeps in its metadata what is refused" in text]
    assert reason in warning
    assert warning.endswith("(:0)")


@pytest.mark.parametrize(
    ("name", "meant"),
    [("usr_id", "user_id"), ("userid", "user_id"), ("occured_at", "occurred_at"), ("Outcome", "outcome")],
)
def test_a_misspelt_field_is_reported_once(caplog, name, meant):
    """A name that is nearly a field's is told, and stored all the same."""
    formatter = AuditFormatter()
    for _ in range(2):
        stored = snapshot({"action": "a.b", name: "x"}, formatter=formatter)
    assert stored["extra"] == {name: "x"}
    [warning] = warnings(caplog)
    assert warning.startswith(f"audit(...) has no field {name}: is it {meant}?")


def test_a_column_of_the_users_is_no_misspelling(caplog):
    """A name of its own is told of by nobody."""
    snapshot({"action": "a.b", "room": 1, "seat_no": 2, "ticket_price": 3})
    assert warnings(caplog) == []


def test_a_value_that_holds_itself():
    """A cycle is cut where it closes."""
    value = {"name": "x", "list": []}
    value["list"].append(value)
    stored = metadata(value)
    assert stored["x"] == {"name": "x", "list": [None]}
    assert stored["_cleaned"] == ["metadata: cycle cut"]


def test_the_same_value_twice_is_no_cycle():
    """Two references to one list are stored twice."""
    value = [1]
    assert metadata([value, (value, value)]) == {"x": [[1], [[1], [1]]]}


@pytest.mark.parametrize(
    "wrap", [lambda value: [value], lambda value: {"a": value}, lambda value: Point(1, "x", value)]
)
def test_a_thousand_levels(wrap):
    """What is nested too deep is cut below."""
    value = 1
    for _ in range(1000):
        value = wrap(value)
    assert any("nested deeper" in mark for mark in metadata(value)["_cleaned"])


def test_a_value_that_would_unfold_without_end():
    """A list of two times the same list, thirty times, is cut."""
    value = ["x"]
    for _ in range(60):
        value = [value, value]
    stored = snapshot({"action": "a.b", "metadata": {"x": value}, "user_label": "Ann"})
    assert stored["user_label"] == "Ann"
    assert "metadata: cut" in stored["metadata"]["_cleaned"]


def test_keys_that_become_the_same():
    """Keys that JSON cannot tell apart are told apart, and nothing is lost."""
    stored = metadata({1: "int", "1": "text", 1.5: "float", "1.5": "text", None: 0, "None": 1})
    assert sorted(map(str, stored["x"].values())) == sorted(["int", "text", "float", "text", "0", "1"])
    assert stored["_cleaned"] == ["metadata: names made different"]


def test_many_keys_that_become_the_same():
    """A hundred thousand keys with one text take no longer than others."""

    class Key:
        def __str__(self):
            return "key"

        __repr__ = __str__

    assert len(metadata({Key(): 1 for _ in range(100_000)})["x"]) > 1000


def test_secrets_are_masked_at_any_depth():
    """One walk masks metadata, changes, refused values and the user's columns, in whatever holds them."""
    secret = {
        "password": "hunter2",
        "list": [{"apiKey": "hunter2"}, ({"TOKEN": "hunter2"},)],
        "point": Point(1, "hunter2"),
    }
    stored = snapshot(
        {
            "action": "a.b",
            "metadata": OrderedDict(deep=[[[secret]]]),
            "changes": {"password": ["hunter2", "hunter2"], "x": [secret, "?token=hunter2"]},
            "user_id": [secret],
            "order": secret,
            "api_token": "hunter2",
            "message": "Bearer hunter2",
            "user_agent": "curl?token=hunter2",
            "id": secret,
        }
    )
    assert "hunter2" not in json.dumps(stored)
    assert stored["changes"]["password"] == ["***", "***"]
    assert stored["extra"]["api_token"] == "***"


Header = namedtuple("Header", "name value")
Secret = Enum("Secret", {"COOKIE": "c"})


@dataclass
class Variable:
    """A name of the environment, as an application's own code keeps it."""

    key: str
    value: str


@pytest.mark.parametrize(
    ("pair", "stored"),
    [
        (["Cookie", "hunter2"], ["Cookie", "***"]),
        (("password", "hunter2", "hunter2"), ["password", "***", "***"]),
        ([b"authorization", b"Basic hunter2"], ["authorization", "***"]),
        (["tokens", ["hunter2", None, 3], {"a": "hunter2"}], ["tokens", ["***", None, 3], "***"]),
        ({"name": "Authorization", "value": "hunter2"}, {"name": "Authorization", "value": "***"}),
        ({"key": "DB_PASSWORD", "value": "hunter2", "n": 1}, {"key": "DB_PASSWORD", "value": "***", "n": 1}),
        ({"key": "api_key", "name": "Key", "value": "hunter2"}, {"key": "api_key", "name": "Key", "value": "***"}),
        (Header("Cookie", "hunter2"), {"name": "Cookie", "value": "***"}),
        (Variable("TOKEN", "hunter2"), {"key": "TOKEN", "value": "***"}),
        (UserDict(name="sid", value="hunter2"), {"name": "sid", "value": "***"}),
        ((Secret.COOKIE, "hunter2"), ["c", "***"]),
    ],
    ids=str,
)
@pytest.mark.parametrize("wrap", [list, tuple, deque])
def test_pairs_in_a_list_are_masked(pair, stored, wrap):
    """A secret beside its name in a list, as headers and variables are kept, is masked as one under that name."""
    assert metadata(wrap([["x", 1], pair])) == {"x": [["x", 1], stored]}
    assert snapshot({"action": "a.b", "changes": wrap([pair])})["metadata"]["_refused"] == {"changes": [stored]}
    given = record({"action": "a.b", "metadata": {"deep": [{"x": wrap([pair])}]}})
    assert "hunter2" not in finish(AuditFormatter().snapshot(given))
    assert "hunter2" not in AuditFormatter().recordable(given)


def test_all_values_behind_a_name_are_masked():
    """However many there are, none is lost; and a name may be in any kind of bytes."""
    assert metadata([["secret", *["hunter2"] * 150]]) == {"x": [["secret", *["***"] * 150]]}
    assert metadata([(memoryview(b"cookie"), "hunter2")]) == {"x": [["cookie", "***"]]}


def test_pairs_of_a_dicts_items_are_masked():
    """What a dict gives as its items is masked as the dict is."""
    assert metadata({"Cookie": "hunter2"}.items()) == {"x": [["Cookie", "***"]]}


@pytest.mark.parametrize(
    "value",
    [
        ["password", "reset"],
        [["password"], ["a", "password"], ["author", "Ann"], [], [["password"], "x"], [1, "password"]],
        [{"name": "author", "value": "Ann"}, {"name": "password"}, {"value": "x"}, {"title": "password", "value": "x"}],
        {"name": "password", "value": "x"},
        [["password", 3, None, True], {"name": "tokens", "value": 3}],
        [["a" * 300 + " password", "x"]],
    ],
)
def test_lists_without_pairs_are_left(value):
    """Names beside no value of theirs, and numbers, are stored as they are, by the short way and by the other."""
    assert metadata(value) == metadata(OrderedDict(x=value))["x"] == {"x": value}


def test_pairs_by_the_masks_options():
    """Names that are added and removed, and the mask, are those of every value."""
    pairs = [["iban", "DE12"], ["page_token", "x"], {"name": "password", "value": b"hunter2"}]
    masked = metadata(pairs, mask=["iban"], unmask=["page_token"], mask_with=lambda name, value: [name, len(value)])
    assert masked["x"] == [
        ["iban", ["iban", 4]],
        ["page_token", "x"],
        {"name": "password", "value": ["password", 7]},
    ]


def test_a_pair_that_cannot_be_read():
    """A list or dict that raises when it is looked at costs only itself."""
    own = type("Own", (list,), {"__getitem__": Hostile._refuse})
    assert metadata([own(["password", "hunter2"]), HostileDict(name="password", value="hunter2"), 1])["x"] == [
        ["password", "***"],
        "__could_not_encode__",
        1,
    ]


def test_what_cannot_be_asked_for_a_name_is_no_pair():
    """A mapping of numbers is in a list what it is elsewhere."""
    own = type("Own", (UserDict,), {"__contains__": lambda self, key: int(key) in self.data})
    assert metadata([own({1: "one"})]) == {"x": [{"1": "one"}]}


def test_numbers_under_a_secrets_name_are_left():
    """How many tokens there are is no secret."""
    assert metadata({"tokens": 17, "password": True, "secret": None})["x"] == {
        "tokens": 17,
        "password": True,
        "secret": None,
    }


@pytest.mark.parametrize("kind", [lambda: SimpleNamespace(name="ann", password="hunter2"), lambda: Printed()])
def test_secrets_in_what_an_object_prints_are_masked(kind):
    """Models print their fields: what stands behind a secret's name is masked there too."""
    stored = metadata(kind())
    assert "ann" in stored["x"]
    assert "hunter2" not in json.dumps(stored)


class Printed:
    """Prints itself as models of pydantic do."""

    def __str__(self):
        return "name='ann' password='hunter2' key=b'x'"


def test_the_masks_options():
    """Names are added and removed, and a callable decides what is stored."""
    stored = metadata(
        {"iban": "DE12", "page_token": "x", "password": "hunter2"},
        mask=["iban"],
        unmask=["page_token"],
        mask_with=lambda name, value: f"{name} with {len(value)}",
    )
    assert stored["x"] == {"iban": "iban with 4", "page_token": "x", "password": "password with 8"[:-1] + "7"}


def test_a_mask_by_name():
    """A configuration file names the callable."""
    assert metadata({"password": ["a"]}, mask_with="builtins:max")["x"] == {"password": ["password"]}


# Caps


@pytest.mark.parametrize("name", sorted(LABELS | ID_FIELDS | {"request_id", "action", "source_ip"}))
@pytest.mark.parametrize("character", ["a", "é", "€", "🔑", "\n", "\x01"], ids=ascii)
@pytest.mark.parametrize("length", [MAX_TEXT - 1, MAX_TEXT, MAX_TEXT + 1, 100_000])
def test_a_text_is_cut_by_bytes(name, character, length):
    """A field keeps a kilobyte of UTF-8, whole characters, and shows where it was cut."""
    size = len(character.encode())
    text = character * (length // size) + "x" * (length % size)
    stored = snapshot({"action": "a.b", name: text})
    assert len(stored[name].encode()) <= MAX_TEXT
    if length <= MAX_TEXT:
        assert stored[name] == text
        assert "_cleaned" not in stored.get("metadata", {})
    else:
        assert len(stored[name].encode()) > MAX_TEXT - 4 - size
        assert stored[name].rstrip("…") == character * len(stored[name].rstrip("…"))
        assert stored["metadata"]["_cleaned"] == [f"{name}: cut"]


@pytest.mark.parametrize("character", ["a", "é", "🔑", "\x01"], ids=ascii)
@pytest.mark.parametrize("length", [MAX_MESSAGE, MAX_MESSAGE + 1, 1_000_000])
def test_a_message_is_cut_by_bytes(character, length):
    """A message keeps eight kilobytes."""
    size = len(character.encode())
    text = character * (length // size) + "x" * (length % size)
    stored = snapshot({"action": "a.b"}, msg=text)
    assert len(stored["message"].encode()) <= MAX_MESSAGE
    assert (stored["message"] == text) == (length <= MAX_MESSAGE)


def everything(text, value):
    """Return an event with *text* in every field and *value* wherever JSON may stand."""
    return dict.fromkeys(CALLER_FIELDS, text) | {
        "metadata": value,
        "changes": {"x": value},
        "order": value,
        "id": value,
    }


Long = type("A" * 1_000_000, (), {"__str__": Hostile._refuse, "__repr__": Hostile._refuse})
"""A class with a name of a megabyte."""


@pytest.mark.parametrize(
    "value",
    [
        {"x": "a" * 300_000},
        {"x": "\x01" * 300_000},
        {"x": "🔑" * 300_000},
        {"x": '"' * 300_000},
        {str(n): "a" * 255 for n in range(3000)},
        {"\x01" * 200 + str(n): 1 for n in range(3000)},
        {"x": list(range(200_000))},
        {"x": [1.2345678901234567e-300] * 200_000},
        {"x": [10**1000] * 20_000},
        {"x": [2**4000] * 20_000},
        {"x": [uuid4()] * 50_000},
        {"x": [datetime(2020, 1, 2, 3, 4, 5, 678901, UTC)] * 50_000},
        {"x": [[]] * 200_000},
        {"x": [{}] * 200_000},
        {"x": [None, True, False] * 70_000},
        {"x": [Long()]},
        {"x": [b"a" * 100] * 10_000},
        {"x": {"password": "x"}, **{f"token{n}": "x" for n in range(50_000)}},
    ],
    ids=range(18),
)
def test_a_line_is_at_most_a_quarter_of_a_megabyte(value):
    """Whatever is logged, and however it expands in JSON: the line stays within its bound, and says that it was cut."""
    text = AuditFormatter().format(record(everything("\x01" * 100_000, value), msg="\x01" * 100_000))
    assert len(text.encode()) <= MAX_LINE
    assert json.loads(text)["metadata"]["_cleaned"]


@pytest.mark.parametrize("character", ["a", "é", "🔑"], ids=ascii)
def test_long_bytes_are_cut_as_text_is(character):
    """Where bytes are cut there may be half a character, which is left out."""
    for before in range(4):
        text = "x" * before + character * 300_000
        assert metadata(text.encode()) == metadata(text)


def test_a_long_field_takes_no_room():
    """However long a field is, of whatever type, all the room is for the metadata."""
    for value in ("a" * 300_000, b"a" * 300_000, type("Own", (str,), {})("a" * 300_000)):
        stored = snapshot({"action": "a.b", "user_agent": value, "metadata": {"x": "b" * 100_000}})
        assert stored["metadata"] == {"x": "b" * 100_000, "_cleaned": ["user_agent: cut"]}


@pytest.mark.parametrize(
    "value",
    [
        "a" * 100_000_000,
        [["a" * 100_000_000]],
        {"a" * 100_000_000: 1},
        b"a" * 100_000_000,
        bytearray(b"\xff" * 100_000_000),
    ],
    ids=["text", "list", "key", "bytes", "base64"],
)
def test_a_hundred_megabytes(value):
    """Metadata of a hundred megabytes is cut, and costs no field of the event."""
    given = {"action": "a.b", "user_id": 17, "outcome": "denied", "user_label": "Ann", "request_id": "r"}
    stored = snapshot({**given, "metadata": {"x": value}, "order_id": 5})
    assert stored.items() >= {**given, "message": "Logo replaced", "extra": {"order_id": 5}}.items()
    assert "metadata: cut" in stored["metadata"]["_cleaned"]


def test_the_callers_metadata_is_cut_before_the_event():
    """Changes and columns that use up the room leave the fields alone."""
    given = {"action": "a.b", "user_id": 17, "outcome": "denied", "user_agent": "curl", "service": "shop"}
    stored = snapshot({**given, "changes": {"x": ["a" * 300_000, ""]}, "order": "a" * 300_000})
    assert stored.items() >= given.items()


def test_a_list_without_end():
    """An iteration that never ends is cut."""

    class Endless(list):
        def __iter__(self):
            while True:
                yield "x"

    assert "metadata: cut" in metadata(Endless())["_cleaned"]


def test_a_dict_that_another_thread_changes():
    """A dict that grows and shrinks while it is logged costs no event its fields."""
    shared, done = {str(n): {"n": n} for n in range(300)}, threading.Event()

    def change():
        n = 0
        while not done.is_set():
            n = (n + 1) % 50
            shared[f"new{n}"] = {}
            shared.pop(f"new{(n * 7) % 50}", None)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread = threading.Thread(target=change)
    thread.start()
    try:
        formatter = AuditFormatter()
        actions = {snapshot({"action": "a.b", "metadata": shared}, formatter)["action"] for _ in range(300)}
    finally:
        done.set()
        thread.join()
        sys.setswitchinterval(interval)
    assert actions == {"a.b"}


# Records and filters


@pytest.mark.parametrize(
    ("name", "attributes", "expected"),
    [
        ("audit", {"audit": {}}, True),
        ("audit", {"audit": None}, True),
        ("audit", {}, False),
        ("psycopg", {"audit": {}}, False),
        ("psycopg.pool", {"audit": {}}, False),
        ("psycopgish", {"audit": {}}, True),
    ],
)
def test_which_records_are_ours(name, attributes, expected):
    """A record with an ``audit`` is ours, unless the driver's own logger wrote it."""
    assert is_audit_record(logging.makeLogRecord({"name": name, **attributes})) is expected


def test_the_filter_takes_the_snapshot():
    """Behind a stock QueueHandler the snapshot is taken where the record was logged."""
    entry = record({"action": "a.b"})
    with audit_context(user_id=1):
        assert AuditFilter(service="shop").filter(entry)
    entry.audit = {"action": "c.d"}
    stored = json.loads(AuditFormatter().format(entry))
    assert (stored["action"], stored["user_id"], stored["service"]) == ("a.b", 1, "shop")


def test_the_filter_lets_nothing_else_pass():
    """Records without ``audit``, and those of other loggers than the filter's, are held back."""
    assert not AuditFilter().filter(logging.makeLogRecord({"name": "audit"}))
    assert not AuditFilter("shop").filter(record({"action": "a.b"}))
    assert AuditFilter("audit").filter(record({"action": "a.b"}))


def test_one_line():
    """The snapshot is one line, whatever line breaks the event has."""
    text = AuditFormatter().format(record({"action": "a.b", "metadata": {"x": "a\nb\r\u2028"}}, msg="a\nb"))
    assert "\n" not in text


def test_a_snapshot_that_the_thread_of_the_call_took_is_used():
    """What AuditFilter attached stays, whoever formats the record later, in another thread without the context."""
    logged = record({"action": "page.read"})
    with audit_context(user_label="Ann"):
        assert AuditFilter().filter(logged)
    for take in (AuditFormatter().format, AuditFormatter().snapshot):
        assert json.loads(take(logged))["user_label"] == "Ann"
