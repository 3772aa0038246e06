"""Upkeep beside a subscriber of PostgreSQL's logical replication."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from pglog_audit import schema
from pglog_audit.local_postgres import LocalPostgres
from pglog_audit.maintenance import maintain
from pglog_audit.retention import retain
from tests.conftest import Database
from tests.support import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

EVENTS = "SELECT id, action FROM audit_log WHERE NOT starts_with(action, 'audit.') ORDER BY occurred_at"
TROUBLE = "SELECT apply_error_count + sync_error_count AS errors FROM pg_stat_subscription_stats"


def make_table(server: LocalPostgres, name: str) -> Database:
    """Return a database with an audit table."""
    with psycopg.connect(server.conninfo(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    with psycopg.connect(server.conninfo(name)) as connection:
        schema.init(connection)
    return Database(name, server.conninfo(name), server.conninfo(name))


@pytest.fixture
def pair() -> Iterator[tuple[Database, Database]]:
    """Return a publisher and its subscriber, which has all that the publisher has."""
    with LocalPostgres(durable=False, settings={"wal_level": "logical"}) as server:
        publisher, subscriber = (make_table(server, name) for name in ("publisher", "subscriber"))
        publisher.execute("CREATE PUBLICATION audit FOR TABLE audit_log WITH (publish_via_partition_root = true)")
        publisher.execute("SELECT pg_create_logical_replication_slot('audit', 'pgoutput')")
        subscriber.execute(
            f"CREATE SUBSCRIPTION audit CONNECTION '{publisher.owner}' PUBLICATION audit WITH (create_slot = false)"
        )
        yield publisher, subscriber


def test_no_event_comes_to_a_subscriber_twice(pair: tuple[Database, Database]) -> None:
    """Rows that maintain and retain move, or leave, are told nobody: what is logged next comes through."""
    publisher, subscriber = pair
    for time in ("2001-01-01", "2028-02-03", "2999-01-01"):
        publisher.execute("INSERT INTO audit_log (action, occurred_at) VALUES ('a.b', %s)", time)
    wait_until(lambda: len(subscriber.rows(EVENTS)) == 3)
    with psycopg.connect(publisher.owner, autocommit=True) as connection:
        assert maintain(connection).moved == 2
        assert [each.events for each in retain(connection, "1year")] == [1]
    publisher.execute("INSERT INTO audit_log (action, occurred_at) VALUES ('a.c', '2028-02-04')")
    wait_until(lambda: len(subscriber.rows(EVENTS)) == 4)
    assert [row for row in subscriber.rows(EVENTS) if row in publisher.rows(EVENTS)] == publisher.rows(EVENTS)
    assert subscriber.rows(TROUBLE) == [{"errors": 0}]
    with psycopg.connect(subscriber.owner, autocommit=True) as connection:
        assert maintain(connection).moved == 3
    subscriber.execute("ALTER SUBSCRIPTION audit DISABLE; ALTER SUBSCRIPTION audit SET (slot_name = NONE)")
