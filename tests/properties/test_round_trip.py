"""What is logged is what is read back."""

import logging
from collections import OrderedDict
from datetime import datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pglog_audit.careful_lines import MAX_MESSAGE, MAX_TEXT
from pglog_audit.event import CALLER_FIELDS, ID_FIELDS, TEXT_FIELDS, WRITER_FIELDS
from tests.properties.strategies import any_json, any_text, keys, names, plain_json, plain_text, python_objects

MARKS = {"_cleaned", "_refused"}
JSON = st.dictionaries(names.filter(lambda name: name not in MARKS), plain_json, max_size=4)
LEVELS = st.sampled_from([logging.INFO, logging.ERROR])


def same(stored, given):
    """Tell whether PostgreSQL's JSON is *given*: a float may come back as the integer that it is."""
    if isinstance(given, dict):
        return stored.keys() == given.keys() and all(same(stored[name], given[name]) for name in given)
    if isinstance(given, list):
        return len(stored) == len(given) and all(map(same, stored, given))
    if isinstance(given, float):
        return float(stored) == given
    return type(stored) is type(given) and stored == given


@given(values=st.lists(JSON, min_size=1, max_size=20), level=LEVELS)
def test_metadata_is_read_back(trail, values, level):
    """JSON without secrets comes back from the table as it was logged."""
    rows = trail.store([{"action": "a.b", "metadata": value} for value in values], level)
    assert len(rows) == len(values)
    assert [value for row, value in zip(rows, values, strict=True) if not same(row["metadata"], value)] == []


@given(values=st.lists(st.dictionaries(names, st.lists(plain_json, min_size=2, max_size=2)), min_size=1, max_size=20))
def test_changes_are_read_back(trail, values):
    """Old and new values come back as they were logged."""
    rows = trail.store([{"action": "a.b", "changes": value} for value in values])
    assert [value for row, value in zip(rows, values, strict=True) if not same(row["changes"], value)] == []


@given(values=st.lists(plain_json, min_size=1, max_size=20))
def test_what_has_no_column_is_read_back(trail, values):
    """A key that is no column comes back from the metadata, which wins where both have it."""
    rows = trail.store([{"action": "a.b", "order": value, "shop": 1, "metadata": {"shop": 2}} for value in values])
    assert len(rows) == len(values)
    wanted = [{"order": value, "shop": 2} for value in values]
    assert [value for row, value in zip(rows, wanted, strict=True) if not same(row["metadata"], value)] == []


@given(values=st.lists(any_json, min_size=1, max_size=20), level=LEVELS)
def test_every_json_is_a_row(trail, values, level):
    """NUL, surrogates, NaN and odd keys cost no row: one log call, one row."""
    rows = trail.store([{"action": "a.b", "entity_type": "e", "metadata": value} for value in values], level)
    assert [(row["action"], row["entity_type"]) for row in rows] == [("a.b", "e")] * len(values)


@given(values=st.lists(python_objects, min_size=1, max_size=20), level=LEVELS)
def test_every_object_is_a_row(trail, values, level):
    """Whatever Python object stands in the metadata: one log call, one row, with its other fields."""
    rows = trail.store([{"action": "a.b", "entity_type": "e", "metadata": {"x": value}} for value in values], level)
    assert [(row["action"], row["entity_type"]) for row in rows] == [("a.b", "e")] * len(values)
    assert all("x" in row["metadata"] for row in rows)
    assert not any("hunter2" in row["everything"] for row in rows)


@given(
    values=st.lists(
        st.fixed_dictionaries({}, optional=dict.fromkeys(sorted(CALLER_FIELDS), python_objects)),
        min_size=1,
        max_size=10,
    ),
    level=LEVELS,
)
def test_every_object_in_every_field_is_a_row(trail, values, level):
    """A field of the wrong type costs no row and no neighbour."""
    rows = trail.store([{**value, "number": n} for n, value in enumerate(values)], level)
    assert [row["metadata"]["number"] for row in rows] == list(range(len(values)))


@given(values=st.lists(python_objects, min_size=1, max_size=20))
def test_every_audit_is_a_row(trail, values):
    """An audit that is no dict is stored all the same."""
    rows = trail.store(values)
    assert len(rows) == len(values)


@given(
    values=st.lists(
        st.dictionaries(keys | st.sampled_from(sorted(CALLER_FIELDS | WRITER_FIELDS)), any_json, max_size=6),
        min_size=1,
        max_size=20,
    ),
    level=LEVELS,
)
def test_every_dict_is_a_row(trail, values, level):
    """Any keys with any values: one log call, one row, and the writer's own fields are the writer's."""
    rows = trail.store(values, level)
    assert len(rows) == len(values)
    assert len({row["id"] for row in rows}) == len(values)
    assert len({row["writer_id"] for row in rows}) == 1


LONG = st.builds(lambda text, times: text * times, any_text, st.sampled_from([1, 1, 40, 400]))


@given(
    values=st.lists(
        st.fixed_dictionaries({}, optional=dict.fromkeys(sorted(CALLER_FIELDS), LONG)), min_size=1, max_size=10
    )
)
def test_every_text_in_every_field_is_a_row(trail, values):
    """Text of any characters and any length fits: what its column refuses is found in the metadata."""
    rows = trail.store(values)
    assert len(rows) == len(values)
    for row, value in zip(rows, values, strict=True):
        for name in TEXT_FIELDS & value.keys():
            assert len((row[name] or "").encode()) <= MAX_TEXT
        assert len((row["message"] or "").encode()) <= MAX_MESSAGE
        for name in ID_FIELDS & value.keys() - {""}:
            assert row[name] is None or isinstance(row[name], UUID)
            assert row[name] or not value[name] or name in row["metadata"]["_refused"]


@given(
    values=st.lists(
        st.fixed_dictionaries(
            {},
            optional=dict.fromkeys(sorted(TEXT_FIELDS - {"action", "outcome", "request_id"} | {"message"}), plain_text),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_texts_are_read_back(trail, values):
    """A text of usual length and characters comes back as it was; an empty one is NULL."""
    rows = trail.store([{"action": "a.b", **value} for value in values])
    stored = [{name: row[name] for name in value} for row, value in zip(rows, values, strict=True)]
    assert stored == [{name: text or None for name, text in value.items()} for value in values]


@given(values=st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(sorted(ID_FIELDS), st.uuids())), min_size=1))
def test_ids_are_read_back(trail, values):
    """A UUID comes back as it was, given as an object or as text."""
    rows = trail.store([{"action": "a.b", **value} for value in values])
    rows += trail.store([{"action": "a.b", **{name: str(uuid) for name, uuid in value.items()}} for value in values])
    assert [{name: row[name] for name in ID_FIELDS if row[name]} for row in rows] == [*values, *values]


MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.timezones())  # noqa: DTZ001 - bounds


@given(values=st.lists(MOMENTS, min_size=1, max_size=20))
def test_times_are_read_back(trail, values):
    """An aware time comes back to the microsecond."""
    rows = trail.store([{"action": "a.b", "occurred_at": value} for value in values])
    # By the clock: times of an hour that a time zone leaves out are equal to no other (PEP 495).
    assert [row["occurred_at"].timestamp() for row in rows] == [value.timestamp() for value in values]


SECRET_NAMES = st.sampled_from(["password", "Authorization", "apiKey", "x-auth-token", "db.passwd", "CLIENT_SECRET"])


@st.composite
def hidden_secrets(draw):
    """Return JSON with a secret somewhere inside, under a secret's name."""
    secret = draw(st.sampled_from(["hunter2", ["hunter2"], {"x": "hunter2"}, [[{"y": ("hunter2",)}]]]))
    value = {**draw(st.dictionaries(any_text, any_json, max_size=2)), draw(SECRET_NAMES): secret}
    for wrap in draw(st.lists(st.sampled_from(["list", "dict", "tuple", "ordered", "refused"]), max_size=6)):
        around = {"dict": lambda v: {"k": v}, "tuple": lambda v: (v, 1), "ordered": lambda v: OrderedDict(k=v)}
        value = around.get(wrap, lambda v: [0, v])(value)
    return value


@given(
    values=st.lists(
        st.tuples(st.sampled_from(sorted(CALLER_FIELDS | WRITER_FIELDS | {"order"})), hidden_secrets()),
        min_size=1,
        max_size=20,
    )
)
def test_no_secret_arrives(trail, values):
    """However deep and in whichever field: what stands under a secret's name is in no column of the row."""
    rows = trail.store([{"action": "a.b", name: value} for name, value in values])
    assert len(rows) == len(values)
    assert not any("hunter2" in row["everything"] for row in rows)


@pytest.mark.parametrize("level", [logging.INFO, logging.ERROR])
@given(data=st.data())
def test_the_other_lines_of_a_batch_are_untouched(trail, level, data):
    """Good lines among bad ones are stored as if they were alone."""
    bad = data.draw(st.lists(st.dictionaries(st.sampled_from(sorted(CALLER_FIELDS)), any_json), max_size=8))
    good = {"action": "a.b", "user_id": UUID(int=5), "metadata": {"x": 1}, "outcome": "denied", "entity_type": "e"}
    rows = trail.store([event for one in bad for event in (good, one)] + [good], level)
    assert len(rows) == 2 * len(bad) + 1
    assert all(row.items() >= good.items() for row in rows[::2])
