"""A reader for each test: with nothing prepared, or with the audit table and its writer."""

from pathlib import Path

import psycopg
import pytest

from pglog_audit import schema

from .reader import Reader


@pytest.fixture
def bare_reader(empty_database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reader:
    """Return a reader with an empty database, on a server that knows none of README.md's roles."""
    empty_database.execute(
        "DROP ROLE IF EXISTS app, auditor, ops, support, audit_owner"
    )  # nothing is granted to them: their database is gone
    reader = Reader(tmp_path, empty_database)
    monkeypatch.setenv("PGLOG_AUDIT_CONNINFO", reader.writer)
    return reader


@pytest.fixture
def reader(bare_reader: Reader) -> Reader:
    """Return a reader with an audit table, into which the role ``app`` may insert."""
    bare_reader.database.execute("CREATE ROLE app LOGIN")
    with psycopg.connect(bare_reader.owner) as connection:
        schema.init(connection, writer="app")
    return bare_reader
