"""What a spool is for: the words that name its directory."""

import pytest

from pglog_audit import backlog
from pglog_audit.options import WriterOptions


@pytest.mark.parametrize(
    ("conninfo", "environ", "expected"),
    [
        ("postgresql://app:hunter2@db/shop", {}, "host=db port=5432 dbname=shop"),
        ("host=db port=5432 dbname=shop user=other", {}, "host=db port=5432 dbname=shop"),
        ("host=a,b port=5432,5433 dbname=shop", {}, "host=a,b port=5432,5433 dbname=shop"),
        ("", {"PGHOST": "db", "PGDATABASE": "shop", "PGPORT": "6432"}, "host=db port=6432 dbname=shop"),
        ("service=shop", {}, "service=shop"),
        ("", {}, "port=5432"),
    ],
)
def test_a_database_is_named_without_who_writes(conninfo, environ, expected):
    """Users and passwords change and their lines stay for the same table; a default port is the one written out."""
    assert backlog.describe_database(conninfo, environ) == expected


def test_a_callable_is_named_and_not_called():
    """A token that expires has no part in the directory's name, and the application's code is not run for it."""
    options = WriterOptions(conninfo=test_a_callable_is_named_and_not_called, table="history.audit_log")
    name = f"conninfo={__name__}:test_a_callable_is_named_and_not_called"
    assert backlog.describe_target(options) == f"{name} table=history.audit_log"


class Callable:
    """A conninfo that says what it is for."""

    dbname = "shop"

    def __call__(self):
        """Fetch a password."""
        raise AssertionError

    def target(self):
        """Name the database."""
        return f"host=db dbname={self.dbname} user=app"


def test_a_callable_may_say_what_it_is_for():
    """Two of one class are for two databases, and what one is for may change."""
    conninfo = Callable()
    options = WriterOptions(conninfo=conninfo)
    assert backlog.describe_target(options) == "host=db port=5432 dbname=shop table=audit_log"
    conninfo.dbname = "test_shop"
    assert backlog.describe_target(options) == "host=db port=5432 dbname=test_shop table=audit_log"


def test_a_pool_by_name_is_not_loaded():
    """Its module may need the application, which is not there yet."""
    assert backlog.describe_target(WriterOptions(pool="no.such:pool")) == "pool=no.such:pool table=audit_log"
