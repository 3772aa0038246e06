"""What init refuses before it asks the server, and the script that it would run."""

import re

import pytest

from pglog_audit import schema
from pglog_audit.errors import ConfigurationError
from pglog_audit.event import ID_FIELDS
from pglog_audit.sql import check_table


@pytest.mark.parametrize(
    "table", ["audit_log", "audit.log", "my schema.Audit-Log", "é" * 31, "a" * 63, "it's", "a$b{c}"]
)
def test_a_legal_name_is_kept_as_it_is(table):
    """A name that PostgreSQL can hold is taken as the catalog spells it."""
    assert check_table(table) == table


@pytest.mark.parametrize(
    "table", ["", ".", "a.", ".b", "a.b.c", "a\0b", "a\nb", "a" * 64, "é" * 32, 'a"b', '"a"', "a%b", "\ud800"]
)
def test_a_name_that_would_be_misread_is_refused(table):
    """A name that PostgreSQL, libpq or psycopg would cut or misread is refused with the name and the rule."""
    with pytest.raises(ConfigurationError, match=r"write name or schema\.name") as caught:
        check_table(table)
    assert repr(table) in str(caught.value)


def test_an_unknown_id_column_is_refused_with_the_known_ones():
    """A field that is no id is refused, and every id column is named."""
    with pytest.raises(ConfigurationError, match="'action'") as caught:
        schema.script(id_types={"action": "bigint"})
    assert all(field in str(caught.value) for field in ID_FIELDS)


def test_an_unknown_id_type_is_refused_with_the_known_ones():
    """A type that no id column may have is refused, and the possible ones are named."""
    with pytest.raises(ConfigurationError, match=r"'int8'.*uuid, bigint, integer, text"):
        schema.script(id_types={"user_id": "int8"})


def test_id_types_of_an_existing_table_are_refused():
    """An existing table keeps its types, so that asking for others is a mistake."""
    with pytest.raises(ConfigurationError, match="existing one keeps its own"):
        schema.script(existing=True, id_types={"user_id": "bigint"})


@pytest.mark.parametrize("option", ["writer", "reader"])
@pytest.mark.parametrize("role", ["", "a\0b", "r" * 64, "\udcff"])
def test_a_name_that_cannot_be_a_role_is_refused(option, role):
    """A name that no role can have is refused before the server is asked."""
    with pytest.raises(ConfigurationError, match=f"{option} is"):
        schema.script(**{option: role})


def test_the_script_writes_the_version_that_the_package_reads():
    """The last migration leaves the comment of the version that this package takes for its own."""
    assert re.findall(r"COMMENT ON TABLE .* IS 'pglog_audit schema (\d+)\b", schema.script())[-1] == str(schema.VERSION)


def test_the_script_is_one_transaction():
    """What fails half-way leaves nothing behind."""
    statements = [line for line in schema.script(writer="app").splitlines() if line and not line.startswith("--")]
    assert (statements[0], statements[-1]) == ("BEGIN;", "COMMIT;")


def test_the_script_for_an_existing_table_makes_nothing():
    """An existing table gets the writer's grants and nothing else."""
    script = schema.script(existing=True, writer="app")
    assert "GRANT INSERT" in script
    assert "CREATE" not in script
    assert 'GRANT SELECT ON TABLE "audit_log" TO "auditor"' in schema.script(existing=True, reader="auditor")


def test_the_script_cannot_be_left_by_a_name():
    """A quote in a role's name stays inside its literal, or its identifier."""
    assert "pglog_audit.writer = 'it''s; DROP TABLE x';" in schema.script(writer="it's; DROP TABLE x")
    assert 'TO "a""; DROP TABLE x";' in schema.script(reader='a"; DROP TABLE x')
