"""The audit table as the catalog describes it: which values fit, and where the others go."""

import pytest

from pglog_audit.catalog import Column, Table

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
    """A domain, or a type with a modifier, has rules that only the server knows."""
    assert Column("x", "public.label", None, None).takes("longer")
    assert Column("x", "numeric(3,1)", None, None).takes(1000)


@pytest.mark.parametrize("kind", ["character varying(3)", "character(3)"])
def test_a_text_may_be_as_long_as_its_column_says(kind):
    """Characters count, and blanks at the end do not; what is no text has the length of its JSON."""
    known = Column("x", kind, None, None)
    assert [value for value in ["", "äöü", "abc   ", 123, True and 7, None, [1]] if not known.takes(value)] == []
    assert [value for value in ["äöü!", "abc d", 1234, True, [1, 2]] if known.takes(value)] == []


@pytest.mark.parametrize(
    ("known", "is_understood"),
    [
        (column("uuid"), True),
        (column("text"), True),
        (column("jsonb"), True),
        (Column("x", "character varying(3)", None, None), True),
        (Column("x", "public.label", None, None), False),
        (Column("x", "uuid", None, "uuid", is_constrained=True), False),
        (Column("x", "text", None, "text", is_constrained=True), False),
    ],
)
def test_what_is_understood(known, is_understood):
    """A constraint or a type of the user's has rules that only the server knows."""
    assert known.is_understood is is_understood


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
