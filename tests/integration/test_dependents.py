"""What a role without any privilege on the log makes of its partitions, and what `retain` and `maintain` do then."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from click.testing import CliRunner, Result
from psycopg.conninfo import make_conninfo

from pglog_audit import maintenance, schema
from pglog_audit.cli.commands import cli
from pglog_audit.maintenance import maintain
from pglog_audit.retention import _Retention, retain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Database

RIVAL = "pglog_rival"
THIS_MONTH = f"audit_log_{datetime.now(UTC):%Y_%m}"
OLD, OLDER = "audit_log_2024_01", "audit_log_2023_12"
MADE = {
    "view rival.v": "CREATE VIEW rival.v AS SELECT * FROM public.{}",
    "materialized view rival.v": "CREATE MATERIALIZED VIEW rival.v AS SELECT NULL::public.{} IS NULL AS x",
    "rule r on rival.t": "CREATE RULE r AS ON INSERT TO rival.t WHERE EXISTS (TABLE public.{}) DO NOTHING",
    "table column rival.t.c": "ALTER TABLE rival.t ADD c public.{}",
    "table column rival.t.a": "ALTER TABLE rival.t ADD a public.{}[]",
    "type rival.d": "CREATE DOMAIN rival.d AS public.{}",
    "composite type column rival.ct.c": "CREATE TYPE rival.ct AS (c public.{}, more int)",
    "function rival.f(public.{})": "CREATE FUNCTION rival.f(public.{}) RETURNS int LANGUAGE sql AS 'SELECT 1'",
}
CATALOG = """
    SELECT relid::regclass::text AS name, pg_get_expr(relpartbound, pg_class.oid) AS bounds,
           obj_description(pg_class.oid) AS comment,
           array_agg(tgname || tgenabled::text || tgisinternal::text ORDER BY tgname) AS triggers
      FROM pg_partition_tree('audit_log') JOIN pg_class ON pg_class.oid = relid JOIN pg_trigger ON tgrelid = relid
     GROUP BY 1, 2, 3 ORDER BY 1
"""


@pytest.fixture
def attacked(any_database: Database) -> Iterator[Database]:
    """Return a log with two old months of an event each, and a role that owns a schema beside it, on either server."""
    with psycopg.connect(any_database.owner) as connection:
        connection.execute(f"CREATE ROLE {RIVAL} LOGIN; CREATE SCHEMA rival AUTHORIZATION {RIVAL}")
        schema.init(connection)
        connection.execute(
            f"CREATE TABLE {OLD} PARTITION OF audit_log FOR VALUES FROM ('2024-01-01Z') TO ('2024-02-01Z')"
        )
        connection.execute(
            f"CREATE TABLE {OLDER} PARTITION OF audit_log FOR VALUES FROM ('2023-12-01Z') TO ('2024-01-01Z')"
        )
        connection.execute(
            "INSERT INTO audit_log (action, occurred_at) VALUES ('a.b', '2024-01-05'), ('a.b', '2023-12-05')"
        )
    with psycopg.connect(any_database.owner, autocommit=True) as connection:
        maintain(connection)
    yield any_database
    any_database.execute(f"DROP OWNED BY {RIVAL} CASCADE; DROP ROLE {RIVAL}")


@contextmanager
def rival(database: Database) -> Iterator[psycopg.Connection[Any]]:
    """Connect as the role that was given nothing of the log."""
    with psycopg.connect(make_conninfo(database.owner, user=RIVAL), autocommit=True) as connection:
        yield connection


def make(database: Database, statement: str) -> None:
    """Run *statement* as that role."""
    with rival(database) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS rival.t ()")
        connection.execute(statement)


def run(database: Database, *arguments: str) -> Result:
    """Run a command as the owner."""
    return CliRunner().invoke(cli, [*arguments, "--conninfo", database.owner])


def run_retain(database: Database, *options: str) -> Result:
    """Drop what is older than a year."""
    return run(database, "retain", "--keep", "1year", *options)


def names(database: Database) -> set[str]:
    """Return the names of the partitions."""
    rows = database.rows("SELECT relid::regclass::text AS name FROM pg_partition_tree('audit_log') WHERE isleaf")
    return {row["name"] for row in rows}


class TestRetain:
    @pytest.mark.parametrize("name", MADE)
    def test_a_month_that_something_depends_on_stays_whole(self, attacked: Database, name: str) -> None:
        """The others go, what is in the way is told with its owner, and --cascade drops both."""
        make(attacked, MADE[name].format(OLD))
        told = (
            f"{OLD} stays: {name.format(OLD)} of role {RIVAL} depends on it. Drop that, or run this again with --casc"
        )
        for options in (["--dry-run"], []):
            result = run_retain(attacked, *options)
            assert (result.exit_code, told in result.stderr, OLDER in result.stdout) == (4, True, True)
        assert OLD in names(attacked)
        assert OLDER not in names(attacked)
        assert len(attacked.rows()) == 1
        cascaded = (
            f"{OLD}: from 2024-01-01 on, before 2024-02-01, 1 event.\n  with it {name.format(OLD)} of role {RIVAL}\n"
        )
        assert run_retain(attacked, "--cascade", "--dry-run").output == f"Would drop {cascaded}"
        assert OLD in names(attacked)
        assert run_retain(attacked, "--cascade").output == f"Dropped {cascaded}"
        assert attacked.rows("SELECT to_regclass(%s) AS there, to_regclass('rival.v') AS view", OLD) == [
            {"there": None, "view": None}
        ]

    def test_a_temporary_view_of_a_session_that_is_there(self, attacked: Database) -> None:
        """Views upon it are told too, and of many objects the first three."""
        with rival(attacked) as session:
            session.execute(f"CREATE TEMP VIEW v AS SELECT action FROM {OLD}; CREATE TEMP VIEW w AS SELECT FROM v")
            for number in range(3):
                session.execute(f"CREATE TEMP VIEW x{number} AS SELECT FROM {OLDER}")
            result = run_retain(attacked)
            assert (result.exit_code, result.stdout) == (4, "")
            assert f"w of role {RIVAL} depend on it. Drop that" in result.stderr
            session.execute(f"CREATE TEMP VIEW x3 AS SELECT FROM {OLDER}")
            assert "and 1 more depend on it. And " in run_retain(attacked).stderr
            assert run_retain(attacked, "--cascade").stdout.count(f" of role {RIVAL}\n") == 6
        assert attacked.rows() == []

    def test_a_name_that_writes_to_a_terminal(self, attacked: Database) -> None:
        """Whoever may make objects may give them any name."""
        make(attacked, f'CREATE VIEW rival."\x1b[2J" AS SELECT FROM public.{OLD}')
        assert r'view rival."\x1b[2J" of role' in run_retain(attacked).stderr
        assert r'view rival."\x1b[2J" of role' in run_retain(attacked, "--cascade").stdout

    def test_what_an_earlier_run_left_detached(self, attacked: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is told as well, the others go, and --cascade drops it."""
        with monkeypatch.context() as ended:
            ended.setattr(_Retention, "finish", lambda *_: iter(()))
            run_retain(attacked)
        make(attacked, f"CREATE VIEW rival.v AS SELECT FROM public.{OLD}")
        result = run_retain(attacked)
        assert (result.exit_code, f"{OLD} stays: view rival.v of" in result.stderr) == (4, True)
        assert result.stdout.startswith(f"Dropped {OLDER}")
        assert run_retain(attacked, "--cascade").exit_code == 0
        told = attacked.rows("SELECT target_label FROM audit_log WHERE action = 'audit.retain' ORDER BY 1")
        assert [row["target_label"] for row in told] == [OLDER, OLD]

    @pytest.mark.parametrize("late", [False, True])
    def test_what_comes_between_the_question_and_the_drop(
        self, attacked: Database, monkeypatch: pytest.MonkeyPatch, *, late: bool
    ) -> None:
        """The month becomes a partition again, unless a late event lay in its place; nothing of it is recorded."""
        catalog, finish = attacked.rows(CATALOG), _Retention.finish

        def finish_late(retention: _Retention, leaving: Any) -> Any:
            if leaving.name == OLD:
                make(attacked, f"CREATE VIEW rival.v AS SELECT FROM public.{OLD}")
                if late:
                    attacked.execute("INSERT INTO audit_log (action, occurred_at) VALUES ('late.r', '2024-01-07')")
            return finish(retention, leaving)

        with monkeypatch.context() as patch:
            patch.setattr(_Retention, "finish", finish_late)
            result = run_retain(attacked)
        assert (result.exit_code, f"{OLD} stays: view rival.v of role" in result.stderr) == (4, True)
        assert attacked.rows(CATALOG) == [row for row in catalog if row["name"] not in (OLDER, *[OLD][:late])]
        assert [row["action"] for row in attacked.rows()] == ([] if late else ["a.b"])
        told = attacked.rows("SELECT target_label FROM audit_log WHERE action = 'audit.retain'")
        assert OLD not in {row["target_label"] for row in told}
        assert f"Dropped {OLD}" in run_retain(attacked, "--cascade").stdout

    def test_the_default_partition(self, attacked: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its old events stay for as long, also where something came since the question."""
        attacked.execute(
            "INSERT INTO audit_log (action, occurred_at) VALUES ('so.old', '2001-01-01'), ('f.r', '2999-1-1')"
        )
        with monkeypatch.context() as patch:
            patch.setattr(_Retention, "_dependents", lambda *_: ())
            make(attacked, "CREATE VIEW rival.v AS SELECT FROM public.audit_log_default")
            assert "audit_log_default stays: what is gone by now depends on it" in run_retain(attacked).stderr
        result = run_retain(attacked)
        assert (result.exit_code, "audit_log_default stays: view rival.v of" in result.stderr) == (4, True)
        assert {row["action"] for row in attacked.rows()} == {"so.old", "f.r"}
        with psycopg.connect(attacked.owner, autocommit=True) as connection:
            [gone] = retain(connection, "1year", cascade=True)
        assert [(each.name, each.owner) for each in gone.dropped] == [("view rival.v", RIVAL)]
        assert {row["action"] for row in attacked.rows()} == {"f.r"}

    def test_a_foreign_key_to_the_whole_table(self, attacked: Database) -> None:
        """What refers to other months is in no month's way, and stays."""
        attacked.execute("CREATE TABLE refers (id uuid, at timestamptz, FOREIGN KEY (id, at) REFERENCES audit_log)")
        assert run_retain(attacked).exit_code == 0
        assert attacked.rows("SELECT FROM pg_constraint WHERE conrelid = 'refers'::regclass AND contype = 'f'")

    def test_a_foreign_key_to_a_month(self, attacked: Database) -> None:
        """It goes with the month, and its table stays."""
        attacked.execute(f"ALTER TABLE {OLD} ADD UNIQUE (id); CREATE TABLE refers (id uuid REFERENCES {OLD} (id))")
        assert "stays: table constraint refers_id_fkey on public.refers of role postgres" in run_retain(attacked).stderr
        assert run_retain(attacked, "--cascade").exit_code == 0
        assert attacked.rows("SELECT FROM refers") == []


class TestMaintain:
    @pytest.mark.parametrize("name", MADE)
    def test_a_default_partition_that_something_depends_on(self, attacked: Database, name: str) -> None:
        """Its rows stay in it, all other months are made, and --cascade moves them."""
        attacked.execute(f"DROP TABLE {THIS_MONTH}; INSERT INTO audit_log (action) VALUES ('a.now')")
        make(attacked, MADE[name].format("audit_log_default"))
        name = name.format("audit_log_default")
        told = (
            f"audit_log_default stays: {name} of role {RIVAL} depends on it, and rows in it that lack a partition. Drop"
        )
        for options in (["--dry-run"], []):
            result = run(attacked, "maintain", "--ahead", "13", *options)
            assert (result.exit_code, told in result.stderr, THIS_MONTH in result.output) == (4, True, False)
        assert len(names(attacked)) == 16
        for options, line in (
            (["--dry-run"], f"Would drop {name} of role {RIVAL}, which depends on the default partition."),
            ([], f"Dropped {name} of role {RIVAL}, which depended on the default partition."),
        ):
            result = run(attacked, "maintain", "--cascade", *options)
            assert (result.exit_code, line in result.stdout.splitlines()) == (0, True)
        [row] = attacked.rows("SELECT tableoid::regclass::text AS place FROM audit_log WHERE action = 'a.now'")
        assert row == {"place": THIS_MONTH}

    def test_what_comes_between_the_plan_and_its_step(
        self, attacked: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is told in the same way, and nothing was moved."""
        attacked.execute(f"DROP TABLE {THIS_MONTH}; INSERT INTO audit_log (action) VALUES ('a.now')")
        carry_out = maintenance._carry_out

        def carry_out_late(*args: Any, **options: Any) -> Any:
            with rival(attacked) as session:
                session.execute("CREATE TEMP TABLE v (r audit_log_default)")
                return carry_out(*args, **options)

        monkeypatch.setattr(maintenance, "_carry_out", carry_out_late)
        with psycopg.connect(attacked.owner, autocommit=True) as connection:
            done = maintain(connection)
        assert (done.made, done.moved, len(done.problems)) == ((), 0, 1)

    def test_nothing_is_dropped_where_nothing_is_moved(self, attacked: Database) -> None:
        """A view of a default partition that may stay as it is, is in nobody's way."""
        make(attacked, "CREATE VIEW rival.v AS SELECT FROM public.audit_log_default")
        assert run(attacked, "maintain", "--cascade", "--ahead", "13").exit_code == 0
        assert attacked.rows("SELECT to_regclass('rival.v')::text AS there") == [{"there": "rival.v"}]


class TestPlantedNames:
    """Names that the commands might want, taken by somebody with CREATE on the schema."""

    def test_no_working_name_can_be_taken(self, attacked: Database) -> None:
        """Nobody knows it before."""
        attacked.execute(f"GRANT CREATE ON SCHEMA public TO {RIVAL}")
        make(attacked, "CREATE TABLE public.audit_log_drained (); CREATE TABLE public.audit_log_default_old ()")
        attacked.execute(f"DROP TABLE {THIS_MONTH}; INSERT INTO audit_log (action) VALUES ('a.now')")
        attacked.execute("INSERT INTO audit_log (action, occurred_at) VALUES ('so.old', '2001-01-01')")
        assert run(attacked, "maintain").exit_code == 0
        assert run_retain(attacked).exit_code == 0
        assert [row["action"] for row in attacked.rows()] == ["a.now"]

    def test_a_type_of_a_partitions_name(self, attacked: Database) -> None:
        """A table is a type as well: it is told as a relation of that name is, and the rest is made."""
        attacked.execute(f"GRANT CREATE ON SCHEMA public TO {RIVAL}; DROP TABLE {THIS_MONTH}")
        make(attacked, f"CREATE DOMAIN public.{THIS_MONTH} AS int")
        result = run(attacked, "maintain", "--ahead", "13")
        assert (result.exit_code, f'"{THIS_MONTH}" is in the way: a partition of' in result.stderr) == (4, True)
        assert len(names(attacked)) == 16
