"""The audit table as the catalog describes it: which values fit, and where the others go."""

import pytest

from pglog_audit.catalog import Column, Table, move_misfits
from pglog_audit.column_types import REFUSED

TYPES = {
    "text": "text",
    "varchar": "character varying",
    "uuid": "uuid",
    "inet": "inet",
    "int2": "smallint",
    "int4": "integer",
    "int8": "bigint",
    "float8": "double precision",
    "numeric": "numeric",
    "bool": "boolean",
    "timestamptz": "timestamp with time zone",
    "date": "date",
    "jsonb": "jsonb",
}


def column(base, name="x", default=None):
    return Column(name, TYPES[base], default, base)


def table(fields=(), user_columns=()):
    """Return a table with *fields* and *user_columns*, written ``name:base``."""
    fields, own = (dict(text.split(":") for text in columns) for columns in (fields, user_columns))
    return Table(
        "public",
        "audit_log",
        {name: column(base, name) for name, base in fields.items()},
        {name: column(base, name) for name, base in own.items()},
    )


@pytest.mark.parametrize(
    ("base", "values"),
    [
        ("text", ["", "x", 5, True, [1]]),
        ("uuid", ["00000000-0000-0000-0000-000000000005", "{00000000000000000000000000000005}"]),
        ("inet", ["10.0.0.1", "::1", "10.0.0.0/8", "fe80::1/64"]),
        ("int2", [0, 32767, -32768, "7", " 7 ", "-7", "+7"]),
        ("int4", [2**31 - 1, -(2**31), "2147483647"]),
        ("int8", [2**63 - 1, -(2**63), "9223372036854775807"]),
        ("float8", [1, 1.5, "1.5", "1e3", "NaN", "Infinity"]),
        ("numeric", [1, 10**50, "1.5"]),
        ("bool", [True, False, "true", "off", "T", 1, 0]),
        ("timestamptz", ["2020-01-02", "2020-01-02T03:04:05+00:00", "2020-01-02 03:04:05.678901Z"]),
        ("date", ["2020-01-02"]),
        ("jsonb", [{}, [], "x", 5]),
    ],
)
def test_a_column_takes_what_its_type_holds(base, values):
    """What PostgreSQL accepts stays where it is; NULL fits everywhere."""
    assert [value for value in [None, *values] if not column(base).takes(value)] == []


@pytest.mark.parametrize(
    ("base", "values"),
    [
        ("uuid", ["", "x", 5, True, [], {}, "00000000-0000-0000-0000-00000000000g"]),
        ("inet", ["", "localhost", "10.0.0.256", "10.0.0.1:80", {}, True, "unknown"]),
        ("int2", [32768, -32769, "32768", 1.0, "1.0", "", "x", True, [], "9" * 5000]),
        ("int4", [2**31, "2147483648"]),
        ("int8", [2**63, -(2**63) - 1, str(2**63), "1_000"]),
        ("float8", ["", "x", [], True]),
        ("numeric", ["", "x", {}, False]),
        ("bool", ["", "maybe", 2, 1.5, []]),
        ("timestamptz", ["", "x", 5, 1577934245, [], "2020-13-01"]),
        ("date", ["01.02.2020", True]),
    ],
)
def test_a_column_refuses_the_rest(base, values):
    """What PostgreSQL would refuse is known before it is asked."""
    assert [value for value in values if column(base).takes(value)] == []


def test_a_type_that_we_do_not_know_takes_everything():
    """A domain, or a type with a length, has rules that only the server knows."""
    assert Column("x", "character varying(3)", None, None).takes("longer")


@pytest.mark.parametrize(
    ("known", "is_free"),
    [
        (column("text"), True),
        (column("varchar"), True),
        (Column("x", "character varying(3)", None, None), False),
        (Column("x", "public.label", None, None), False),
        (column("uuid"), False),
        (column("jsonb"), False),
    ],
)
def test_free_text(known, is_free):
    """Only text without a length takes every text."""
    assert known.is_free_text is is_free


def test_misfits_move_to_the_metadata():
    """A value that its column refuses is found in the metadata; everything else stays."""
    event = {"action": "a.b", "user_id": "ann", "event_id": None, "metadata": {"x": 1}, "extra": {"order": "x", "y": 2}}
    assert move_misfits(event, table(["action:text", "user_id:uuid", "event_id:uuid"], ["order:int8"]))
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
    assert move_misfits(event, described, all_but_text=True)
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
    assert not move_misfits(event, described, all_but_text=True)


def test_an_action_that_its_column_refuses():
    """A narrow table's enumeration may not know the action: the row is stored as unknown, with the action beside it."""
    event = {"action": "branding.update"}
    narrow = Table("public", "log", {"action": Column("action", "public.verb", None, None)}, {})
    assert move_misfits(event, narrow, all_but_text=True)
    assert event == {"action": "unknown", "metadata": {REFUSED: {"action": "branding.update"}}}


def test_an_action_moves_once():
    """If the table does not take "unknown" either, there is nothing left to move: the writer must not try for ever."""
    event = {"action": "branding.update"}
    narrow = Table("public", "log", {"action": Column("action", "public.verb", None, None)}, {})
    assert move_misfits(event, narrow, all_but_text=True)
    assert not move_misfits(event, narrow, all_but_text=True)
    assert event["metadata"][REFUSED] == {"action": "branding.update"}


def test_names_are_quoted():
    """A column with a quote in its name, or a schema with a blank, cannot leave its identifier."""
    odd = Table("my schema", "log", {"action": column("text", 'a"b; DROP TABLE x')}, {})
    statement = odd.insert().as_string(None)
    assert '"my schema"."log"' in statement
    assert '"a""b; DROP TABLE x"' in statement


def test_a_percent_sign_is_no_parameter():
    """A default with a percent sign reaches the server as it is: psycopg would take it for a parameter."""
    percent = Table("public", "log", {"action": column("text", "action", default="'100%s'::text")}, {})
    assert "'100%%s'::text" in percent.insert().as_string(None)


def test_a_default_fills_what_was_not_given():
    """An absent key would be an explicit NULL: the column's default stands in."""
    described = Table("public", "log", {"outcome": column("text", "outcome", default="'success'::text")}, {})
    assert """COALESCE("line"."outcome", 'success'::text)""" in described.insert().as_string(None)


def test_the_insert_needs_no_privilege_but_insert():
    """A conflict target or RETURNING would need SELECT."""
    statement = table(["id:uuid", "action:text"], ["order:int8"]).insert().as_string(None)
    assert statement.rstrip().endswith("ON CONFLICT DO NOTHING")
    assert "RETURNING" not in statement
