"""Alembic beside the audit table: autogenerate leaves it alone, and a migration makes it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Column, Integer, MetaData, Table, Text

from pglog_audit import schema
from pglog_audit.integrations.alembic import include_name, include_object
from pglog_audit.retention import retain

from .test_schema import catalog

if TYPE_CHECKING:
    from tests.conftest import Database

FILTERS = {"include_name": include_name, "include_object": include_object}


def changes(database: Database, metadata: MetaData, **options: Any) -> list[tuple[str, str]]:
    """Return what autogenerate would do to tables."""
    with connected(database) as connection:
        context = MigrationContext.configure(connection, opts=options)
        return sorted((change[0], change[1].name) for change in compare_metadata(context, metadata))


def connected(database: Database) -> sqlalchemy.Connection:
    """Connect by SQLAlchemy as the owner."""
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(database.owner), poolclass=sqlalchemy.NullPool
    )
    return engine.connect()


@pytest.fixture
def metadata() -> Iterator[MetaData]:
    """Return an application's metadata, with one table."""
    metadata = MetaData()
    Table("orders", metadata, Column("id", Integer, primary_key=True))
    return metadata


def test_autogenerate_would_drop_it(database: Database, metadata: MetaData) -> None:
    """Why the filter is there: what the metadata do not know is dropped, partitions and all."""
    found = changes(database, metadata)
    assert ("remove_table", "audit_log") in found
    assert ("remove_table", "audit_log_retained") in found


@pytest.mark.parametrize("partitions", ["daily", "monthly", "yearly"])
def test_it_is_left_alone(empty_database: Database, metadata: MetaData, partitions: str) -> None:
    """With the filter only what is the application's is compared; a table that is only named alike is its own."""
    with psycopg.connect(empty_database.owner, autocommit=True) as connection:
        schema.init(connection, partitions=partitions)
        connection.execute("CREATE TABLE audit_logs (); CREATE TABLE audit_log_notes ()")
        list(retain(connection, "1year"))
    assert changes(empty_database, metadata, **FILTERS) == [
        ("add_table", "orders"),
        ("remove_table", "audit_log_notes"),
        ("remove_table", "audit_logs"),
    ]


def test_a_model_of_it_is_left_alone(database: Database, metadata: MetaData) -> None:
    """An application that reads it through SQLAlchemy gets no CREATE TABLE for what is there."""
    Table("audit_log", metadata, Column("action", Text))
    assert changes(database, metadata, **FILTERS) == [("add_table", "orders")]


def test_another_name_and_schema(empty_database: Database, metadata: MetaData) -> None:
    """The filter takes the table's name, and hides no table of that name in another schema."""
    empty_database.execute("CREATE SCHEMA audit; CREATE TABLE log ()")
    with psycopg.connect(empty_database.owner) as connection:
        schema.init(connection, table="audit.log")
    filters = {key: partial(each, table="audit.log") for key, each in FILTERS.items()}
    assert changes(empty_database, metadata, include_schemas=True, **filters) == [
        ("add_table", "orders"),
        ("remove_table", "log"),
    ]


def test_a_migration_makes_it(empty_database: Database, database: Database) -> None:
    """op.execute of the script, in Alembic's own transaction, leaves what init leaves."""
    with connected(empty_database) as connection:
        operations = Operations(MigrationContext.configure(connection))
        operations.execute(schema.script(writer="pglog_writer", transaction=False))
        connection.rollback()
        assert connection.exec_driver_sql("SELECT to_regclass('audit_log')").scalar() is None
        operations.execute(schema.script(writer="pglog_writer", transaction=False))
        connection.commit()
    assert catalog(empty_database) == catalog(database)


def test_a_migration_upgrades_it(empty_database: Database, database: Database) -> None:
    """So does op.execute of an upgrade's script."""
    with psycopg.connect(empty_database.owner) as connection:
        schema.init(connection, writer="pglog_writer")
        connection.execute("DROP TABLE audit_log_retained")
        connection.execute("COMMENT ON TABLE audit_log IS 'pglog_audit schema 1: who did what'")
    with connected(empty_database) as session:
        Operations(MigrationContext.configure(session)).execute(schema.upgrade_script(2, transaction=False))
        session.commit()
    assert catalog(empty_database) == catalog(database)
