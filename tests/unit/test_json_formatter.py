"""The line of the application's own log: python-json-logger's, and the event in it as it is stored."""

import json
import logging
import logging.config
import sys
from datetime import UTC, datetime
from io import StringIO
from types import SimpleNamespace

import pytest
from pythonjsonlogger.json import JsonFormatter

from pglog_audit import (
    AuditFilter,
    AuditFormatter,
    AuditJsonFormatter,
    ConfigurationError,
    audit,
    audit_context,
    diagnostics,
)
from pglog_audit.careful_lines import MAX_LINE, MAX_MESSAGE
from pglog_audit.event import CALLER_FIELDS
from tests.support import warnings
from tests.unit.test_formatter import Hostile, HostileDict, HostileText, record

EVENT = audit("invoice.pay", metadata={"password": "hunter2", "amount": 12})["audit"]


def line(given, formatter=None, **attributes):
    """Return the line of a log call with *given* as its ``audit``."""
    return json.loads((formatter or AuditJsonFormatter()).format(record(given, **attributes)))


def exception(text):
    """Return the exc_info of an exception with *text*."""
    try:
        return {}[text]
    except KeyError:
        return sys.exc_info()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"fmt": "%(levelname)s %(name)s"},
        {"fmt": ["levelname", "message"], "rename_fields": {"levelname": "level", "audit": "event"}},
        {"timestamp": True, "static_fields": {"api_key": "x"}, "defaults": {"token": "x"}, "prefix": "log "},
        {"reserved_attrs": ["args"], "exc_info_as_array": True, "json_indent": 2},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "attributes",
    [
        {"password": "x"},
        {"msg": {"token": "x"}},
        {"exc_info": exception("x")},
        {"msg": "%s %s", "args": ("a", "b"), "day": 1.5},
    ],
)
def test_an_ordinary_record_is_python_json_loggers(options, attributes):
    """Without an event a record is printed as if nothing had been added."""
    ordinary = logging.makeLogRecord({"msg": "Begun", **attributes})
    assert AuditJsonFormatter(mask=["day"], **options).format(ordinary) == JsonFormatter(**options).format(ordinary)


def test_an_event_stands_in_its_line():
    """Under ``audit`` stands the snapshot that becomes the row, and nothing else of the trail's."""
    logged = record(EVENT, created=1700000000.25)
    assert json.loads(AuditJsonFormatter("%(levelno)s %(message)s").format(logged)) == {
        "levelno": logging.INFO,
        "message": "Logo replaced",
        "audit": json.loads(AuditFormatter().format(logged)),
    }


def test_a_snapshot_taken_earlier_is_printed():
    """What a filter took in the thread that logged is the event: the context may be gone by now."""
    logged = record({"action": "invoice.pay"})
    with audit_context(user_label="alice"):
        assert AuditFilter(service="shop").filter(logged)
    printed = json.loads(AuditJsonFormatter().format(logged))
    assert printed.keys() == {"message", "audit"}
    assert printed["audit"] == json.loads(logged.audit_snapshot)
    assert printed["audit"]["user_label"] == "alice"


def test_the_record_is_left_as_it_was():
    """The formatters of other handlers see what was logged."""
    logged = record(EVENT, msg="Paid by %s", args=("alice",), exc_info=exception("x"), stack_info="x", password="x")
    before = dict(logged.__dict__)
    AuditJsonFormatter("%(asctime)s %(message)s").format(logged)
    assert logged.__dict__ == before


def test_the_options_of_the_event():
    """They are those of AuditFormatter, each with the same effect."""
    options = {
        "request_id_from": lambda: "req-17",
        "mask": ["iban"],
        "unmask": ["page_token"],
        "mask_with": "(hidden)",
        "service": "shop",
        "store_message": False,
    }
    logged = record({"action": "a.b", "metadata": {"iban": "DE", "page_token": "x", "password": "x"}})
    printed = json.loads(AuditJsonFormatter(**options).format(logged))["audit"]
    assert printed == json.loads(AuditFormatter(**options).format(logged))
    assert (printed["request_id"], printed["service"], "message" in printed) == ("req-17", "shop", False)
    assert printed["metadata"] == {"iban": "(hidden)", "page_token": "x", "password": "(hidden)"}


def test_an_event_that_was_passed_without_extra():
    """A record with its event among the arguments is printed as what it was meant to be, in text and secrets too."""
    mistaken = logging.LogRecord("app", logging.INFO, __file__, 1, "%d paid", (3, {"audit": EVENT}), None)
    printed = json.loads(AuditJsonFormatter().format(mistaken))
    assert (printed["message"], printed["audit"]["metadata"]) == ("3 paid", {"password": "***", "amount": 12})


def test_without_its_message_the_event_has_a_line():
    """Leaving the sentence out of the event takes nothing from the application's own log."""
    assert line(EVENT, AuditJsonFormatter(store_message=False))["message"] == "Logo replaced"


@pytest.mark.parametrize("option", ["mask", "service", "mask_with", "request_id_from", "store_message"])
def test_an_option_that_can_never_work(option):
    """A wrong value is refused when logging is configured."""
    with pytest.raises(ConfigurationError, match=option):
        AuditJsonFormatter(**{option: 17})


def test_an_unknown_option():
    """A misspelt name is refused."""
    with pytest.raises(TypeError, match="'masks'"):
        AuditJsonFormatter(masks=["iban"])


# In a configuration


@pytest.mark.parametrize(
    "entry",
    [
        {"class": "pglog_audit.AuditJsonFormatter", "format": "%(levelname)s %(message)s"},
        {"()": "pglog_audit.AuditJsonFormatter", "format": "%(levelname)s %(message)s"},
        {"()": "pglog_audit.AuditJsonFormatter", "fmt": "%(levelname)s %(message)s"},
        {"()": "pglog_audit.AuditJsonFormatter", "fmt": ["levelname", "message"]},
        {"class": "pglog_audit.AuditJsonFormatter", "format": "{levelname} {message}", "style": "{"},
    ],
    ids=str,
)
def test_by_dictconfig(entry):
    """Each way in which dictConfig makes a formatter makes this one."""
    assert configured(entry)(EVENT).items() >= {"levelname": "INFO", "message": "Paid"}.items()


def test_options_by_dictconfig():
    """Named under ``"()"`` the formatter gets the options of both its parents."""
    entry = {"()": "pglog_audit.AuditJsonFormatter", "mask": ["iban"], "rename_fields": {"audit": "event"}}
    stored = configured(entry)({"action": "a.b", "metadata": {"iban": "DE02"}})["event"]
    assert stored["metadata"] == {"iban": "***"}


def configured(entry):
    """Return a function that logs an event through a handler with the formatter *entry*, and returns its line."""
    stream = StringIO()
    handler = {"class": "logging.StreamHandler", "formatter": "json", "stream": stream}
    logger = {"handlers": ["console"], "level": "INFO", "propagate": False}
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"json": entry},
            "handlers": {"console": handler},
            "loggers": {"audit": logger},
        }
    )

    def log(event):
        logging.getLogger("audit").info("Paid", extra={"audit": event})
        return json.loads(stream.getvalue())

    return log


# python-json-logger's options


def test_the_event_can_be_renamed():
    """The key of the event is a field's name like all others."""
    formatter = AuditJsonFormatter(rename_fields={"audit": "event", "message": "msg"})
    assert line(EVENT, formatter).keys() == {"msg", "event"}


def test_the_event_can_be_left_out():
    """An application that wants no events in its log reserves their key."""
    assert line(EVENT, AuditJsonFormatter(reserved_attrs=["audit", *logging.makeLogRecord({}).__dict__])) == {
        "message": "Logo replaced"
    }


def test_the_applications_own_fields():
    """What the configuration adds is printed as in the lines of ordinary records."""
    formatter = AuditJsonFormatter(
        timestamp=True,
        prefix="",
        static_fields={"environment": "test"},
        defaults={"host": "web-1"},
        json_default=lambda value: value.strftime("%Y"),
    )
    printed = line(EVENT, formatter, created=1700000000.25)
    del printed["audit"]
    assert printed == {"host": "web-1", "message": "Logo replaced", "environment": "test", "timestamp": "2023"}


def test_a_subclass_adds_fields():
    """The hooks of python-json-logger see the record without secrets."""

    class Formatter(AuditJsonFormatter):
        def add_fields(self, log_data, record, message_dict):
            super().add_fields(log_data, record, message_dict)
            log_data["args"] = record.args
            log_data["who"] = record.audit["user_label"]

    printed = line({**EVENT, "user_label": "alice"}, Formatter(), msg="%s", args=("hunter2",))
    assert (printed["args"], printed["who"]) == (None, "alice")


def test_every_attribute_of_the_record():
    """Where no attribute is reserved, all of them are printed, none with a secret."""
    formatter = AuditJsonFormatter(reserved_attrs=[])
    printed = line(EVENT, formatter, msg="token=%s", args=("hunter2",), exc_info=exception("token=hunter2"))
    assert (printed["msg"], printed["args"], printed["lineno"]) == ("token=***", None, 0)
    assert "KeyError: 'token=***'" in printed["exc_text"]
    assert "hunter2" not in json.dumps(printed)


# Secrets


def test_the_message_is_masked():
    """The line's message is masked as the event's is."""
    printed = line(EVENT, msg="GET /x?token=%s with %s", args=("hunter2", "Bearer hunter2"))
    assert printed["message"] == printed["audit"]["message"] == "GET /x?token=*** with Bearer ***"


def test_a_dict_for_a_message_is_masked():
    """Its items are fields of the line, and masked by their names."""
    printed = line(EVENT, msg={"step": 1, "deep": {"api_key": "hunter2"}})
    assert printed.items() >= {"message": "", "step": 1, "deep": {"api_key": "***"}}.items()
    assert "hunter2" not in json.dumps(printed)


def test_other_extras_are_masked():
    """What the log call gave beside the event is masked by its names, at any depth."""
    request = SimpleNamespace(path="/x", token="hunter2")
    nested = [{"password": "hunter2"}, b"?token=hunter2"]
    printed = line(EVENT, session="hunter2", request=request, nested=nested, step=1)
    assert (printed["session"], printed["step"]) == ("***", 1)
    assert printed["nested"] == [{"password": "***"}, "?token=***"]
    assert "hunter2" not in json.dumps(printed)


@pytest.mark.parametrize("as_array", [True, False])
def test_tracebacks_are_masked(as_array):
    """Exception and stack are printed, without what can be told from a text to be a secret."""
    formatter = AuditJsonFormatter(exc_info_as_array=as_array, stack_info_as_array=as_array)
    stack = 'Stack (most recent call last):\n  connect("postgresql://app:hunter2@db/app")'
    printed = line(EVENT, formatter, exc_info=exception("Bearer hunter2"), stack_info=stack)
    assert type(printed["exc_info"]) is type(printed["stack_info"]) is (list if as_array else str)
    assert "KeyError: 'Bearer ***'" in printed["exc_info"][-1 if as_array else slice(None)]
    assert "hunter2" not in json.dumps(printed)


def test_a_traceback_that_another_formatter_left_is_masked():
    """Behind a queue the exception is a text already."""
    assert line(EVENT, exc_text="KeyError: 'token=hunter2'")["exc_info"] == "KeyError: 'token=***'"


def test_an_exceptions_own_words_stay():
    """The application chose to log them, and only the row leaves them out."""
    printed = line(EVENT, exc_info=exception("no such guest"))
    assert "no such guest" in printed["exc_info"]
    assert printed["audit"]["metadata"]["exception"] == "KeyError"


# Whatever is logged is printed


@pytest.mark.parametrize("name", sorted(CALLER_FIELDS | {"order_id"}))
@pytest.mark.parametrize("kind", [Hostile, HostileDict, HostileText])
def test_a_hostile_field(name, kind):
    """A value that raises at every touch is in the line what it is in the row."""
    logged = record({"action": "a.b", name: kind()})
    printed = json.loads(AuditJsonFormatter().format(logged))
    assert printed == {"message": "Logo replaced", "audit": json.loads(AuditFormatter().format(logged))}


@pytest.mark.parametrize("kind", [Hostile, HostileDict, HostileText])
def test_a_hostile_record(kind):
    """Message, arguments and extras that raise at every touch cost only themselves."""
    assert line(EVENT, msg=kind(), other=kind())["audit"]["action"] == "invoice.pay"
    printed = line(EVENT, msg="%d of %s", args=(kind(), kind()), other=kind(), step=1)
    assert (printed["message"], printed["step"]) == ("%d of %s", 1)
    assert "hunter2" not in json.dumps(printed)


@pytest.mark.parametrize("given", [lambda: None, lambda: "a.b", lambda: ["a.b"], Hostile, HostileDict, HostileText])
def test_an_audit_that_is_no_dict(given):
    """Whatever stands in place of the dict, a line comes of it."""
    assert line(given())["audit"]["action"] == "unknown"


def cycle():
    """Return a list that holds itself."""
    value = [1]
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        (float("nan"), "NaN"),
        (float("-inf"), "-Infinity"),
        (cycle(), [1, None]),
        ("\ud800\0x", "\ufffd\ufffdx"),
        (10**30, 10**30),
        (datetime(2020, 1, 2, tzinfo=UTC), "2020-01-02T00:00:00+00:00"),
        ({1: 2, None: 3}, {"1": 2, "None": 3}),
        ({1, 2}, [1, 2]),
    ],
    ids=ascii,
)
def test_a_value_that_json_has_not(value, printed):
    """It is printed in the event, beside it and in a dict for a message as it is stored."""
    shown = line({"action": "a.b", "metadata": {"x": value}}, msg={"z": value}, y=value)
    assert [shown["audit"]["metadata"]["x"], shown["y"], shown["z"]] == [printed] * 3


def test_a_line_in_utf_8():
    """A stream takes every line, also where python-json-logger leaves characters as they are."""
    logged = record({"action": "a.b", "user_label": "é\ud800"}, msg="é\udc00", exc_info=exception("\ud800"), x="\ud800")
    text = AuditJsonFormatter(json_ensure_ascii=False).format(logged)
    assert "é\ufffd" in text.encode().decode()


def test_long_values_are_cut():
    """A log call of a hundred megabytes makes no such line."""
    long = "a" * 100_000_000
    printed = line({"action": "a.b", "metadata": {"x": long}}, msg=long, y=long, exc_text=long)
    assert len(printed["message"].encode()) <= MAX_MESSAGE
    assert len(json.dumps(printed["audit"], ensure_ascii=False).encode()) <= MAX_LINE + 1024  # json's blanks
    assert len(json.dumps(printed)) < 4 * MAX_LINE


@pytest.mark.parametrize("exc_info", [(1, 2), (None, None, None), ("a", "b", "c")])
def test_an_exc_info_that_is_none(exc_info):
    """Logging takes any tuple for an exception."""
    assert line(EVENT, exc_info=exc_info)["message"] == "Logo replaced"


@pytest.mark.parametrize("attribute", ["created", "levelno", "exc_info", "msg", "args", "name", "stack_info"])
def test_a_record_without_an_attribute(attribute):
    """A record factory that leaves something out costs no line."""
    incomplete = record({"action": "a.b"})
    delattr(incomplete, attribute)
    printed = json.loads(AuditJsonFormatter("%(name)s %(asctime)s %(message)s", timestamp=True).format(incomplete))
    assert printed["audit"]["action"] in ("a.b", "unknown")


def test_a_record_of_another_class():
    """A factory's records may join message and arguments in another way; the sentence is not joined again."""

    class BraceRecord(logging.LogRecord):
        def getMessage(self):  # noqa: N802 - logging's name
            return self.msg.format(*self.args)

    logged = BraceRecord("audit", logging.INFO, "", 0, "{} with {{}}", ("Paid",), None)
    logged.audit = EVENT
    assert json.loads(AuditJsonFormatter().format(logged))["message"] == "Paid with {}"


# Two formatters


@pytest.mark.parametrize("first", [0, 1])
def test_a_fault_is_counted_once(first, caplog, monkeypatch):
    """The handler that stores an event warns of what is wrong with it; its line on the console adds no second fault."""
    now = [100.0]
    monkeypatch.setattr(diagnostics.time, "monotonic", lambda: now[0])
    formatters = [AuditFormatter(), AuditJsonFormatter()]
    for _ in range(2):
        logged = record({"action": "Paid", "occurred_at": "yesterday", "metadata": {"x": "\0"}})
        for formatter in (formatters[first], formatters[1 - first]):
            formatter.format(logged)
        now[0] += 60
    assert len(warnings(caplog)) == 6
    assert not any("more like this" in message for message in warnings(caplog))


def test_a_console_alone_stores_nothing_and_warns_of_nothing(caplog):
    """What was changed stands in the line itself."""
    assert line({"action": "a.b", "metadata": {"x": "\0"}})["audit"]["metadata"]["_cleaned"]
    assert warnings(caplog) == []
