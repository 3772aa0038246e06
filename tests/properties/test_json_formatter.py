"""Whatever is logged with an event is a line of the application's own log."""

import json
import logging

from hypothesis import given
from hypothesis import strategies as st

from pglog_audit import AuditFormatter, AuditJsonFormatter
from tests.properties.strategies import any_json, any_text, python_objects

formatter = AuditFormatter()
CALL = {"msg": "An event", "levelno": logging.INFO, "levelname": "INFO", "created": 1.5}
json_formatter = AuditJsonFormatter("%(levelname)s %(asctime)s %(message)s", json_ensure_ascii=False)


def line(audit, **attributes):
    """Return the line of a log call with *audit*, and the snapshot of the same call."""
    record = logging.makeLogRecord({**CALL, "audit": audit, **attributes})
    text = json_formatter.format(record)
    assert "\n" not in text
    assert text.encode()
    return json.loads(text), json.loads(formatter.format(record))


@given(st.dictionaries(any_text, any_json))
def test_the_event_is_the_snapshot(audit):
    """What stands under ``audit`` is what becomes the row."""
    printed, snapshot = line(audit)
    assert repr(printed["audit"]) == repr(snapshot)


@given(st.dictionaries(any_text, python_objects), python_objects, st.lists(python_objects, max_size=2), python_objects)
def test_a_log_call_of_any_kind_is_a_line(audit, msg, args, extra):
    """Whatever stands in the event and beside it, a line comes of it."""
    printed, snapshot = line({"action": "a.b", **audit}, msg=msg, args=tuple(args), extra=extra)
    assert {"message", "levelname", "asctime", "extra"} <= printed.keys()
    assert printed["audit"].keys() == snapshot.keys()
