"""`maintain`: partitions ahead, guards put right, the default partition drained, while a writer writes."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from click.testing import CliRunner
from psycopg import errors
from psycopg.conninfo import make_conninfo

from pglog_audit import maintenance, owned_table, schema
from pglog_audit.cli.commands import cli
from pglog_audit.errors import ConfigurationError, SchemaError
from pglog_audit.maintenance import Maintained, maintain
from pglog_audit.owned_table import OwnedTable
from pglog_audit.retention import retain
from pglog_audit.steps import STEPS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pglog_audit.owned_table import Changing
    from tests.conftest import Database

NOW = datetime.now(UTC)
MONTHLY = STEPS["monthly"]
THIS_MONTH = MONTHLY.begin(NOW)
OWNER, MEMBER, STRANGER = "life_owner", "life_member", "life_stranger"
MAKE_ROLES = f"CREATE ROLE {OWNER} NOLOGIN; CREATE ROLE {MEMBER} LOGIN IN ROLE {OWNER}; CREATE ROLE {STRANGER} LOGIN"


def run(database: Database, conninfo: str | None = None, **options: Any) -> Maintained:
    """Maintain the table as its owner, unless told otherwise."""
    with psycopg.connect(conninfo or database.owner, autocommit=True) as connection:
        return maintain(connection, **options)


def insert(database: Database, *times: datetime | str, action: str = "a.b") -> None:
    """Insert an event for each of *times*, as the writer."""
    with psycopg.connect(database.writer) as connection:
        connection.cursor().executemany(
            "INSERT INTO audit_log (action, occurred_at) VALUES (%s, %s)", [(action, time) for time in times]
        )


def partitions(database: Database, table: str = "audit_log") -> dict[str, str]:
    """Return the bounds of each partition, as they are in UTC."""
    with psycopg.connect(database.owner, options="-c timezone=UTC") as connection:
        rows = connection.execute(
            "SELECT relid::regclass::text, pg_get_expr(relpartbound, oid) FROM pg_partition_tree(%s::regclass)"
            " JOIN pg_class ON oid = relid WHERE isleaf ORDER BY 1",
            [table],
        ).fetchall()
    return dict(rows)


def drop_months(database: Database, *counts: int) -> list[str]:
    """Drop the months that lie so many after this one, and return their names."""
    names = [MONTHLY.name_of("audit_log", MONTHLY.after(THIS_MONTH, count)) for count in counts]
    for name in names:
        database.execute(f"DROP TABLE {name}")
    return names


def where(database: Database) -> list[str]:
    """Return which partition each event lies in, by time."""
    rows = database.rows("SELECT tableoid::regclass::text AS partition FROM audit_log ORDER BY occurred_at")
    return [row["partition"] for row in rows]


class TestPartitions:
    def test_a_whole_table_is_left_as_it_is(self, database: Database) -> None:
        """What init has made needs nothing, and a second run changes nothing."""
        before = partitions(database)
        assert run(database) == Maintained("public.audit_log", MONTHLY, 12)
        assert partitions(database) == before

    def test_months_that_are_missing_are_made(self, database: Database) -> None:
        """They are as init makes them: bounds, guards, indexes, and grants to nobody."""
        before = partitions(database)
        names = drop_months(database, 0, 5, 12)
        assert run(database).made == tuple(names)
        assert partitions(database) == before
        with pytest.raises(errors.InsufficientPrivilege, match="is append-only"):
            database.execute(f"TRUNCATE {names[0]}")

    def test_default_privileges_give_no_partition_away(self, database: Database) -> None:
        """ALTER DEFAULT PRIVILEGES of the owner does not reach the new months."""
        drop_months(database, 12)
        database.execute("ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO pglog_writer, PUBLIC")
        run(database)
        assert (
            database.rows(
                "SELECT relid FROM pg_partition_tree('audit_log') JOIN pg_class ON oid = relid, aclexplode(relacl)"
                " WHERE isleaf AND grantee <> relowner"
            )
            == []
        )

    def test_an_event_comes_between_the_plan_and_its_step(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The first one of a month that is about to be made lies in that month then."""
        [name] = drop_months(database, 5)
        carry_out = maintenance._carry_out

        def carry_out_after_an_event(*args: Any, **options: Any) -> Any:
            insert(database, MONTHLY.after(THIS_MONTH, 5))
            return carry_out(*args, **options)

        monkeypatch.setattr(maintenance, "_carry_out", carry_out_after_an_event)
        assert run(database) == Maintained("public.audit_log", MONTHLY, 12, made=(name,), moved=1)
        assert where(database) == [name]

    def test_more_ahead(self, database: Database) -> None:
        """--ahead says how many, and fewer than there are drop none."""
        assert len(run(database, ahead=24).made) == 12
        assert run(database, ahead=1).made == ()
        assert len(partitions(database)) == 26

    def test_columns_of_the_users_own_are_in_new_months(self, database: Database) -> None:
        """Also generated ones and those with a CHECK."""
        drop_months(database, 12)
        database.execute("ALTER TABLE audit_log ADD COLUMN amount int CHECK (amount > 0) DEFAULT 7")
        database.execute("ALTER TABLE audit_log ADD COLUMN loud text GENERATED ALWAYS AS (upper(action)) STORED")
        run(database)
        insert(database, MONTHLY.after(THIS_MONTH, 12))
        assert [(row["amount"], row["loud"]) for row in database.rows()] == [(7, "A.B")]

    def test_what_partitions_of_the_users_own_leave_of_a_month(self, empty_database: Database) -> None:
        """A month that is covered in part gets a partition for the rest."""
        with psycopg.connect(empty_database.owner) as connection:
            schema.init(connection, writer="pglog_writer")
        drop_months(empty_database, 0, 1)
        middle = MONTHLY.after(THIS_MONTH) + timedelta(days=14)
        empty_database.execute(
            f"CREATE TABLE half PARTITION OF audit_log FOR VALUES FROM ('{THIS_MONTH}') TO ('{middle}')"
        )
        assert run(empty_database).made == (f"audit_log_{middle:%Y_%m_%d}",)
        assert run(empty_database).made == ()

    @pytest.mark.parametrize(("name", "count"), [("daily", 31), ("yearly", 3)])
    def test_other_lengths_go_on(self, empty_database: Database, name: str, count: int) -> None:
        """What init was asked for is remembered in the table: maintain makes days of days."""
        step = STEPS[name]
        with psycopg.connect(empty_database.owner) as connection:
            assert schema.init(connection, writer="pglog_writer", partitions=name).partitions == name
        assert len(partitions(empty_database)) == count + 1
        assert run(empty_database) == Maintained("public.audit_log", step, step.ahead)
        begin = step.after(step.begin(datetime.now(UTC)), count)
        made = run(empty_database, ahead=step.ahead + 1).made
        assert made == (step.name_of("audit_log", begin),)
        insert(empty_database, begin)
        assert where(empty_database) == [*made]

    def test_names_that_must_be_quoted(self, empty_database: Database) -> None:
        """Quoting is ours to do."""
        empty_database.execute('CREATE SCHEMA "My Audit"')
        table = "My Audit.it's {a} $partitions$ Log"
        with psycopg.connect(empty_database.owner) as connection:
            schema.init(connection, table=table)
        assert len(run(empty_database, table=table, ahead=14).made) == 2
        assert run(empty_database, table=table, ahead=14).made == ()

    def test_a_dry_run_changes_nothing(self, database: Database) -> None:
        """It tells what would be made, moved and put right."""
        names = drop_months(database, 0, 3)
        database.execute("DROP TRIGGER refuse_truncate ON audit_log")
        insert(database, THIS_MONTH, THIS_MONTH)
        before = partitions(database)
        told = run(database, dry_run=True)
        assert partitions(database) == before
        assert (told.made, told.moved, len(told.restored)) == (tuple(names), 2, 1)
        assert run(database) == told

    def test_what_pg_cron_runs_makes_the_same(self, database: Database) -> None:
        """The SQL for a scheduler inside of the server makes the months that are missing."""
        before = partitions(database)
        drop_months(database, 1, 12)
        for _ in range(2):
            database.execute(schema.partitions_script().replace("%", "%%"))
        assert partitions(database) == before


class TestNamesInTheWay:
    def test_init_makes_nothing_beside_them(self, any_database: Database) -> None:
        """A relation that has the name of a partition is told; by the script, too."""
        for name in ("audit_log_default", MONTHLY.name_of("audit_log", THIS_MONTH)):
            any_database.execute(f"CREATE TABLE {name} ()")
            for make in (schema.init, lambda connection: connection.execute(schema.script())):
                with (
                    psycopg.connect(any_database.owner) as connection,
                    pytest.raises(errors.DuplicateTable, match=f"public.{name} is in the way: a partition of"),
                ):
                    make(connection)
            any_database.execute(f"DROP TABLE {name}")
        assert any_database.rows("SELECT to_regclass('audit_log') AS made") == [{"made": None}]

    def test_the_rest_is_made(self, database: Database) -> None:
        """Maintain names them when it has done what it can, and moves no event in vain."""
        first, second, third = drop_months(database, 0, 3, 5)
        database.execute(f"CREATE VIEW {second} AS SELECT 1; CREATE TABLE {first} ()")
        insert(database, THIS_MONTH)
        for dry_run in (True, False):
            done = run(database, dry_run=dry_run)
            assert (done.made, done.moved, len(done.problems)) == ((third,), 0, 2)
        for name, problem in zip((first, second), done.problems, strict=True):
            assert f'"{name}" is in the way: a partition of public.audit_log shall have that name' in problem
        result = CliRunner().invoke(cli, ["maintain", "--conninfo", database.owner])
        assert (result.exit_code, f'"{second}" is in the way' in result.output) == (4, True)
        with pytest.raises(errors.DuplicateTable, match=f"public.{first} is in the way"):
            database.execute(schema.partitions_script().replace("%", "%%"))
        database.execute(f"ALTER VIEW {second} RENAME TO mine; DROP TABLE {first}")
        assert run(database).made == (first, second)

    def test_of_the_default_partition(self, database: Database) -> None:
        """Without it events of other months are refused: who made the other table should know."""
        database.execute("DROP TABLE audit_log_default; CREATE TABLE audit_log_default ()")
        done = run(database)
        assert (done.made, len(done.problems)) == ((), 1)


class TestDefault:
    def test_rows_are_moved_to_their_month(self, database: Database) -> None:
        """Each stays as it is; what is before all months, and what has no month, stays where it is."""
        names = drop_months(database, 0, 1)
        times = [THIS_MONTH, MONTHLY.after(THIS_MONTH) + timedelta(days=3)]
        insert(database, "2001-01-01", *times, "2099-01-31", "infinity", "-infinity", "20000-01-01")
        before = database.rows("SELECT audit_log::text AS row FROM audit_log ORDER BY id")
        done = run(database)
        assert (done.made, done.moved) == ((*names, "audit_log_2099_01"), 3)
        assert database.rows("SELECT audit_log::text AS row FROM audit_log ORDER BY id") == before
        default = "audit_log_default"
        assert where(database) == [default, default, *names, "audit_log_2099_01", default, default]
        with pytest.raises(errors.InsufficientPrivilege, match="is append-only"):
            database.execute("TRUNCATE audit_log_default")
        assert run(database).made == ()

    def test_names_with_a_percent_sign(self, database: Database) -> None:
        """Psycopg's placeholders are no concern of the user's columns and partitions."""
        names = drop_months(database, 0)
        database.execute('ALTER TABLE audit_log_default RENAME TO "rest of 100%%s"')
        database.execute('ALTER TABLE audit_log ADD COLUMN "100%%" text DEFAULT \'100%%\', ADD "%%(n)s" int DEFAULT 7')
        insert(database, THIS_MONTH)
        done = run(database)
        assert (done.made, done.moved) == (tuple(names), 1)
        assert [(row["100%"], row["%(n)s"]) for row in database.rows()] == [("100%", 7)]
        insert(database, "2001-01-01")
        with psycopg.connect(database.owner, autocommit=True) as connection:
            assert [each.events for each in retain(connection, "1year")] == [1]

    def test_times_that_somebody_made_up(self, database: Database) -> None:
        """Whoever may insert cannot make a thousand partitions of it, not a few a day either."""
        insert(database, *(f"20{year}-01-01" for year in range(60, 80)))
        assert run(database).moved == 20
        insert(database, *(f"20{year}-01-01" for year in range(80, 99)))
        drop_months(database, 5)
        assert (len(run(database).made), len(partitions(database))) == (1, 34)

    def test_months_in_which_nobody_ran_it(self, database: Database) -> None:
        """A past month between others is made if it has rows, and only then."""
        month = MONTHLY.after(THIS_MONTH, -5)
        database.execute(
            f"CREATE TABLE first PARTITION OF audit_log FOR VALUES FROM ('{month}') TO ('{MONTHLY.after(month)}')"
        )
        insert(database, MONTHLY.after(month, 2))
        assert run(database).made == (MONTHLY.name_of("audit_log", MONTHLY.after(month, 2)),)

    def test_it_is_made_again(self, database: Database) -> None:
        """Without it events of other months would be refused."""
        database.execute("DROP TABLE audit_log_default")
        assert run(database).made == ("audit_log_default",)
        insert(database, "2001-01-01")

    def test_a_trigger_that_drops_rows_drops_none_of_them(self, database: Database) -> None:
        """What has been inserted is moved past triggers and rules of the table."""
        names = drop_months(database, 0)
        insert(database, THIS_MONTH, THIS_MONTH)
        database.execute(
            "CREATE FUNCTION drop_it() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
            "CREATE TRIGGER drop_it BEFORE INSERT ON audit_log FOR EACH ROW EXECUTE FUNCTION drop_it()"
        )
        assert run(database).moved == 2
        assert where(database) == names * 2


class TestGuards:
    def test_a_second_fault_behind_the_first(self, database: Database) -> None:
        """A function that was changed, and a trigger that calls another one, are both put right in one run."""
        database.execute(
            "CREATE OR REPLACE FUNCTION audit_log_append_only() RETURNS trigger LANGUAGE plpgsql"
            " AS 'BEGIN RETURN NULL; END';"
            "CREATE FUNCTION pass() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
            "DROP TRIGGER refuse_truncate ON audit_log_default; CREATE TRIGGER refuse_truncate"
            " BEFORE TRUNCATE ON audit_log_default EXECUTE FUNCTION pass()"
        )
        assert len(run(database).restored) == 32
        assert run(database).restored == ()


class TestRoles:
    @pytest.fixture
    def owned(self, empty_database: Database) -> Iterator[Database]:
        """Return a database whose table belongs to a role that cannot connect."""
        empty_database.execute(f"DROP ROLE IF EXISTS {OWNER}, {MEMBER}, {STRANGER}")
        empty_database.execute(MAKE_ROLES)
        empty_database.execute(f"GRANT CREATE ON SCHEMA public TO {OWNER}")
        with psycopg.connect(make_conninfo(empty_database.owner, user=MEMBER)) as connection:
            connection.execute(f"SET ROLE {OWNER}")
            schema.init(connection, writer="pglog_writer")
        yield empty_database
        empty_database.execute(f"DROP OWNED BY {OWNER} CASCADE; DROP ROLE {OWNER}, {MEMBER}, {STRANGER}")

    def test_rows_that_are_hidden_from_the_owner_are_not_lost(self, owned: Database) -> None:
        """Row-level security that is forced on the default partition is an error: nothing is moved or dropped."""
        insert(owned, NOW + timedelta(days=2000))
        owned.execute("ALTER TABLE audit_log_default ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
        with pytest.raises(errors.InsufficientPrivilege, match="row-level security"):
            run(owned, make_conninfo(owned.owner, user=MEMBER))
        assert len(owned.rows("SELECT FROM audit_log WHERE action = 'a.b'")) == 1

    def test_a_member_of_the_owner_acts_as_the_owner(self, owned: Database) -> None:
        """What is made belongs to the owner, whoever runs it."""
        assert len(run(owned, make_conninfo(owned.owner, user=MEMBER), ahead=14).made) == 2
        owners = owned.rows("SELECT DISTINCT relowner::regrole::text AS owner FROM pg_class WHERE relname ~ '^audit_'")
        assert owners == [{"owner": OWNER}]

    def test_anybody_else_is_told_who_may(self, owned: Database) -> None:
        """The message names the owner, and no grant that would let the application drop the log."""
        told = f'{STRANGER}.* neither owns .* connect as an operator .*, or as "{OWNER}"$'
        with pytest.raises(SchemaError, match=told):
            run(owned, make_conninfo(owned.owner, user=STRANGER))

    def test_functions_in_the_search_path_are_not_called(self, owned: Database) -> None:
        """What somebody put there to be run as the owner, or as a superuser, is not."""
        owned.execute("CREATE SCHEMA trap; GRANT USAGE ON SCHEMA trap TO PUBLIC")
        owned.execute(f"ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER} IN SCHEMA public GRANT SELECT ON TABLES TO PUBLIC")
        for signature in ("hashtextextended(text, integer)", "format(text, regclass, text)"):
            owned.execute(
                f"CREATE FUNCTION trap.{signature} RETURNS text LANGUAGE plpgsql AS"
                " $$BEGIN RAISE EXCEPTION 'caught'; END$$"
            )
        options = "-c search_path=trap,public"
        assert run(owned, make_conninfo(owned.owner, user=MEMBER, options=options), ahead=13).made

    def test_an_owner_that_may_make_no_tables_is_told_so(self, owned: Database) -> None:
        """Before anything is tried."""
        owned.execute(f"REVOKE CREATE ON SCHEMA public FROM {OWNER}")
        with pytest.raises(SchemaError, match=f'GRANT CREATE ON SCHEMA "public" TO "{OWNER}"'):
            run(owned, make_conninfo(owned.owner, user=MEMBER))


class TestOthers:
    def test_eight_at_once(self, database: Database) -> None:
        """All replicas of a CronJob may run it: each month is made once, and each row moved once."""
        drop_months(database, 0, 7)
        insert(database, *[THIS_MONTH] * 50)
        with ThreadPoolExecutor(8) as threads:
            done = list(threads.map(lambda _: run(database), range(8)))
        assert sum(each.moved for each in done) == 50
        assert len(partitions(database)) == 14
        assert len(database.rows()) == 50

    def test_a_table_that_somebody_holds_is_given_up(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        """It waits for a lock for a second at a time, so that writers queue no longer, and not for ever."""
        monkeypatch.setattr(owned_table, "_PAUSES", ())
        drop_months(database, 12)
        with psycopg.connect(database.owner) as other:
            other.execute("LOCK TABLE audit_log")
            with pytest.raises(errors.LockNotAvailable):
                run(database)

    def test_a_callers_transaction_is_refused(self, database: Database) -> None:
        """It would hold the locks of all steps until its end."""
        with psycopg.connect(database.owner) as connection:
            connection.execute("SELECT 1")
            with pytest.raises(ConfigurationError, match="is in a transaction"):
                maintain(connection)

    def test_another_programs_table_is_refused(self, database: Database) -> None:
        """Its partitions are its own affair."""
        database.execute("CREATE TABLE activity (action text)")
        with pytest.raises(SchemaError, match="was not made by pglog_audit"):
            run(database, table="activity")
        with pytest.raises(SchemaError, match="there is no table nothing"):
            run(database, table="nothing")


class TestTimeouts:
    def test_those_of_the_role_are_not_those_of_a_change(self, any_database: Database) -> None:
        """A month of many rows takes its time, whatever ends the statements and transactions of others."""
        with psycopg.connect(any_database.owner) as connection:
            schema.init(connection)
            settings = ["statement_timeout", "idle_in_transaction_session_timeout"]
            if connection.info.server_version >= 170000:
                settings.append("transaction_timeout")
        options = " ".join(f"-c {name}=300ms" for name in settings)
        with psycopg.connect(any_database.owner, autocommit=True, options=options) as connection:
            owned = OwnedTable(connection, "audit_log")

            def take_time(cursor: Changing) -> str:
                cursor.execute("SELECT pg_sleep(0.4)")
                time.sleep(0.4)
                return str(cursor.execute("SELECT 'done' AS done").fetchall()[0]["done"])

            assert owned.change(take_time) == "done"
            assert {connection.execute(f"SHOW {name}").fetchone() for name in settings} == {("300ms",)}
