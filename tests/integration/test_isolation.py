"""Setup and upkeep where transactions are repeatable read: an event that is committed while they wait is not lost."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime

import psycopg
import pytest

from pglog_audit import ddl, schema
from pglog_audit.maintenance import maintain
from pglog_audit.retention import retain
from pglog_audit.steps import STEPS
from pglog_audit.upgrade import upgrade
from tests.support import wait_until

WAITING = "SELECT FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'"
MONTHLY = STEPS["monthly"]
THIS_MONTH = MONTHLY.begin(datetime.now(UTC))
LEVELS = ("repeatable read", "serializable")


@pytest.fixture(params=LEVELS)
def strict(request, any_database):
    """Return an empty database whose transactions see what was there at their first statement."""
    any_database.execute(f"ALTER DATABASE {any_database.name} SET default_transaction_isolation = '{request.param}'")
    return any_database


def init(database, **options):
    """Make the table, or find it."""
    with psycopg.connect(database.owner) as connection:
        return schema.init(connection, **options)


@contextmanager
def writing(database, *times):
    """Begin to insert events, and commit them when something waits for a lock that this holds."""
    with ThreadPoolExecutor(1) as thread, psycopg.connect(database.owner) as connection:
        for time in times:
            connection.execute("INSERT INTO audit_log (action, occurred_at) VALUES ('late.event', %s)", [time])
        yield thread
        wait_until(lambda: database.rows(WAITING, database.name))


def late(database):
    """Return how many of these events there are."""
    return len(database.rows("SELECT FROM audit_log WHERE action = 'late.event'"))


def as_owner(database, work, *arguments, **options):
    """Run *work* on a connection of the owner, and return what it gives, as a list."""
    with psycopg.connect(database.owner, autocommit=True) as connection:
        done = work(connection, *arguments, **options)
        return list(done) if hasattr(done, "__next__") else [done]


class TestMaintain:
    def test_moves_an_event_that_came_while_it_waited(self, strict):
        """The default partition goes when all of its events lie elsewhere, the last one too."""
        init(strict)
        strict.execute(f"DROP TABLE {MONTHLY.name_of('audit_log', THIS_MONTH)}")
        strict.execute("INSERT INTO audit_log (action) VALUES ('a.b')")
        with writing(strict, datetime.now(UTC)) as thread:
            done = thread.submit(as_owner, strict, maintain)
        assert done.result()[0].moved == 2
        assert late(strict) == 1

    def test_as_a_script_changes_nothing_of_it(self, strict):
        """What pg_cron runs makes the months that are missing beside it."""
        init(strict)
        last = MONTHLY.name_of("audit_log", MONTHLY.after(THIS_MONTH, 12))
        strict.execute(f"DROP TABLE {last}")
        with writing(strict, datetime.now(UTC), "1999-01-01") as thread:
            done = thread.submit(strict.execute, schema.partitions_script().replace("%", "%%"))
        done.result()
        assert late(strict) == 2
        assert strict.rows("SELECT to_regclass(%s) IS NOT NULL AS made", last) == [{"made": True}]


class TestRetain:
    def test_keeps_an_event_that_came_while_it_waited(self, strict):
        """Of the default partition goes what is too old, and nothing else."""
        init(strict)
        strict.execute("INSERT INTO audit_log (action, occurred_at) VALUES ('a.b', '1999-01-01')")
        with writing(strict, "2099-01-01", "1999-01-02") as thread:
            done = thread.submit(as_owner, strict, retain, "1year")
        assert [each.events for each in done.result()] == [2]
        assert late(strict) == 1

    def test_counts_an_event_that_came_while_it_waited(self, strict):
        """A month goes with all of its events told."""
        init(strict)
        strict.execute("CREATE TABLE past PARTITION OF audit_log FOR VALUES FROM ('2001-01-01') TO ('2001-02-01')")
        with writing(strict, "2001-01-03") as thread:
            done = thread.submit(as_owner, strict, retain, "1year")
        assert [each.events for each in done.result()] == [1]


class TestSetup:
    def test_upgrade(self, strict):
        """An event that came while it waited is there."""
        with psycopg.connect(strict.owner) as connection:
            connection.execute(ddl.setup("audit_log"))
            connection.execute(ddl.create_table("audit_log", {}, version=1))
        with psycopg.connect(strict.owner) as connection:
            connection.execute("LOCK TABLE audit_log IN SHARE UPDATE EXCLUSIVE MODE")
            with ThreadPoolExecutor(1) as thread:
                done = thread.submit(as_owner, strict, upgrade)
                wait_until(lambda: strict.rows(WAITING, strict.name))
                strict.execute("INSERT INTO audit_log (action) VALUES ('late.event')")
                connection.commit()
        assert done.result()[0].before == 1
        assert late(strict) == 1

    def test_four_inits_at_once(self, strict):
        """Each sees what the one before it has made."""
        with ThreadPoolExecutor(4) as threads:
            results = list(threads.map(lambda _: init(strict), range(4)))
        assert [each.created for each in results].count(True) == 1

    def test_a_transaction_of_the_callers(self, strict):
        """It keeps its level: an init moves and drops no event, whatever it sees."""
        with psycopg.connect(strict.owner) as connection:
            level = connection.execute("SHOW transaction_isolation").fetchone()
            assert schema.init(connection).created
            assert connection.execute("SHOW transaction_isolation").fetchone() == level

    def test_scripts(self, strict):
        """Those that open a transaction open one in which each statement sees what is there."""
        for script in (schema.script(), schema.upgrade_script(2)):
            assert script.index("BEGIN") < script.index("READ COMMITTED") < script.index("SELECT")
        strict.execute(schema.script().replace("%", "%%"))
