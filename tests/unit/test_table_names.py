"""The names of what belongs to an audit table, and the filter of Alembic's that goes by them."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from pglog_audit.integrations.alembic import include_name, include_object
from pglog_audit.table_names import is_of_table, name_prefix

PROGRAM = "import sys; sys.modules['psycopg'] = None; import pglog_audit.integrations.alembic"


@pytest.mark.parametrize("suffix", ["", "_default", "_retained", "_2027", "_2027_01", "_2027_01_31"])
def test_what_belongs_to_the_table(suffix: str) -> None:
    """The table, its partitions of each length, and what retention keeps; also where names are cut."""
    assert is_of_table(f"audit_log{suffix}", "audit_log")
    long = "a" * 63
    assert is_of_table(f"{name_prefix(long)}{suffix}" if suffix else long, long)


@pytest.mark.parametrize("name", ["audit_logs", "audit", "audit_log_notes", "audit_log_20", "my_audit_log"])
def test_what_does_not(name: str) -> None:
    """A table that is named alike is its owner's."""
    assert not is_of_table(name, "audit_log")


@pytest.mark.parametrize(
    ("table", "schema", "included"),
    [
        ("audit_log", None, False),
        ("audit_log", "audit", True),
        ("audit.audit_log", "audit", False),
        ("audit.audit_log", None, True),
        ("public.audit_log", None, False),
    ],
)
def test_the_filter_goes_by_schema(table: str, schema: str | None, *, included: bool) -> None:
    """Alembic has no name for the default schema."""
    assert include_name("audit_log", "table", {"schema_name": schema}, table=table) is included
    model = SimpleNamespace(schema=schema)
    assert include_object(model, "audit_log", "table", False, None, table=table) is included


def test_the_filter_judges_tables_alone() -> None:
    """Columns and schemas of that name are not its affair."""
    assert include_name("audit_log", "schema", {})
    assert include_name(None, "schema", {})
    assert include_object(SimpleNamespace(), "audit_log", "column", True, None)


def test_the_filter_needs_no_psycopg() -> None:
    """Migrations may run with another driver."""
    subprocess.run([sys.executable, "-W", "error", "-c", PROGRAM], check=True)
