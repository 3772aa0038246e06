"""`upgrade`: an older table becomes what a fresh one is, while clients of both versions work with it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from click.testing import CliRunner
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pglog_audit import AuditLog, SchemaError, audit, ddl, schema
from pglog_audit.cli.commands import cli
from pglog_audit.doctor import Target, examine
from pglog_audit.maintenance import maintain
from pglog_audit.upgrade import Upgraded, upgrade
from tests.support import configure, flush

from .test_schema import catalog

if TYPE_CHECKING:
    from tests.conftest import Database

WRITER = "pglog_writer"
OWNER, MEMBER, STRANGER, READER = "upgrade_owner", "upgrade_member", "upgrade_stranger", "upgrade_reader"


def make_table(database: Database, version: int, table: str = "audit_log", **id_types: str) -> None:
    """Make the table as the package of that schema's time did."""
    with psycopg.connect(database.owner) as connection:
        connection.execute(ddl.setup(table))
        connection.execute(ddl.create_table(table, id_types, version=version))
        connection.execute(ddl.create_view(*(sql.Identifier(name) for name in (table, "audit_timeline"))))
        connection.execute(ddl.grant_writer(WRITER))


def run(database: Database, conninfo: str | None = None, **options: Any) -> Upgraded:
    """Upgrade the table as its owner, unless told otherwise."""
    with psycopg.connect(conninfo or database.owner, autocommit=True) as connection:
        return upgrade(connection, **options)


@pytest.fixture
def old(empty_database: Database) -> Database:
    """Return a database with a table of the version before."""
    make_table(empty_database, schema.VERSION - 1)
    return empty_database


def find(database: Database) -> dict[str, Any]:
    """Return what doctor finds."""
    findings = examine(Target(database.owner, "--conninfo", "audit_log", {}), writer=WRITER).findings
    return {finding.name: finding for finding in findings}


class TestUpgrade:
    @pytest.mark.parametrize("version", range(1, schema.VERSION))
    def test_an_upgraded_table_is_as_a_fresh_one(
        self, empty_database: Database, database: Database, version: int
    ) -> None:
        """From each version there was, the migrations lead to the same catalogs."""
        make_table(empty_database, version)
        assert catalog(empty_database) != catalog(database)
        assert run(empty_database) == Upgraded("public.audit_log", version, schema.VERSION)
        assert catalog(empty_database) == catalog(database)

    def test_the_script_leads_there_too(self, old: Database, database: Database) -> None:
        """What a migration tool runs makes the same."""
        with psycopg.connect(old.owner, autocommit=True) as connection:
            connection.execute(schema.upgrade_script(schema.VERSION))
        assert catalog(old) == catalog(database)

    def test_a_second_time_changes_nothing(self, database: Database) -> None:
        """A deployment may run it each time."""
        before = catalog(database)
        assert run(database) == Upgraded("public.audit_log", schema.VERSION, schema.VERSION)
        assert catalog(database) == before

    def test_eight_at_once_upgrade_once(self, old: Database) -> None:
        """All replicas may run it when they start; they wait for each other."""
        with ThreadPoolExecutor(8) as threads:
            done = list(threads.map(lambda _: run(old), range(8)))
        assert [each.before for each in done].count(schema.VERSION - 1) == 1
        assert find(old)["table"].text == f"public.audit_log has schema {schema.VERSION}"

    def test_rows_and_columns_stay(self, empty_database: Database) -> None:
        """Nothing is rewritten: types of ids, columns of the user's own and rows are as they were."""
        make_table(empty_database, 1, user_id="bigint")
        empty_database.execute("ALTER TABLE audit_log ADD COLUMN amount int")
        empty_database.execute("INSERT INTO audit_log (action, user_id, amount) VALUES ('a.b', 7, 12)")
        before = empty_database.rows("SELECT * FROM audit_log")
        run(empty_database)
        assert empty_database.rows("SELECT * FROM audit_log") == before

    def test_who_may_read_may_read_what_is_new(self, old: Database) -> None:
        """Grants of the version before are enough for the gaps of this one."""
        old.execute(f"DROP ROLE IF EXISTS {READER}; CREATE ROLE {READER} LOGIN; GRANT SELECT ON audit_log TO {READER}")
        run(old)
        assert list(AuditLog(make_conninfo(old.owner, user=READER)).gaps()) == []

    def test_default_privileges_give_nothing_away(self, old: Database) -> None:
        """ALTER DEFAULT PRIVILEGES does not reach what is made."""
        old.execute(f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO {WRITER}, PUBLIC")
        run(old)
        assert (
            old.rows("SELECT FROM pg_class, aclexplode(relacl) WHERE relname ~ '_retained$' AND grantee <> relowner")
            == []
        )

    def test_names_that_must_be_quoted(self, empty_database: Database) -> None:
        """Quoting is ours to do."""
        make_table(empty_database, 1, "it's {a} Log")
        assert run(empty_database, table="it's {a} Log").before == 1


class TestRefusals:
    @pytest.fixture
    def owned(self, old: Database) -> Any:
        """Return a database whose old table belongs to a role that cannot connect."""
        old.execute(f"DROP ROLE IF EXISTS {OWNER}, {MEMBER}, {STRANGER}")
        old.execute(f"CREATE ROLE {OWNER}; CREATE ROLE {MEMBER} LOGIN IN ROLE {OWNER}; CREATE ROLE {STRANGER} LOGIN")
        old.execute(f"GRANT CREATE ON SCHEMA public TO {OWNER}")
        tables = old.rows("SELECT relid::regclass::text AS name FROM pg_partition_tree('audit_log')")
        for table in tables:
            old.execute(f"ALTER TABLE {table['name']} OWNER TO {OWNER}")
        old.execute(f"ALTER FUNCTION audit_log_append_only() OWNER TO {OWNER}")
        yield old
        old.execute(f"DROP OWNED BY {OWNER} CASCADE; DROP ROLE {OWNER}, {MEMBER}, {STRANGER}")

    def test_a_member_of_the_owner_may(self, owned: Database) -> None:
        """What it makes belongs to the owner."""
        run(owned, make_conninfo(owned.owner, user=MEMBER))
        query = "SELECT relowner::regrole::text AS owner FROM pg_class WHERE relname = 'audit_log_retained'"
        assert owned.rows(query) == [{"owner": OWNER}]

    def test_what_is_missing_is_told_before_anything_is_changed(self, owned: Database) -> None:
        """Neither a stranger nor an owner without CREATE on the schema gets half of it."""
        before = catalog(owned)
        with pytest.raises(SchemaError, match=f'connect as an operator .*, or as "{OWNER}"$'):
            run(owned, make_conninfo(owned.owner, user=STRANGER))
        assert catalog(owned) == before
        owned.execute(f"REVOKE CREATE ON SCHEMA public FROM {OWNER}")
        before = catalog(owned)
        with pytest.raises(SchemaError, match=f'GRANT CREATE ON SCHEMA "public" TO "{OWNER}"'):
            run(owned, make_conninfo(owned.owner, user=MEMBER))
        assert catalog(owned) == before

    def test_what_fails_on_the_way_leaves_nothing(self, old: Database) -> None:
        """A table of the name that a migration wants stops it as a whole."""
        old.execute("CREATE TABLE audit_log_retained ()")
        before = catalog(old)
        with pytest.raises(psycopg.errors.UndefinedColumn):
            run(old)
        assert catalog(old) == before

    def test_a_newer_table_is_left_to_the_newer_package(self, database: Database) -> None:
        """There is no way back."""
        database.execute(f"COMMENT ON TABLE audit_log IS 'pglog_audit schema {schema.VERSION + 1}: later'")
        with pytest.raises(SchemaError, match=f"newer than {schema.VERSION}: upgrade pglog-audit"):
            run(database)

    def test_another_programs_table_is_refused(self, empty_database: Database) -> None:
        """What we did not make we do not change."""
        empty_database.execute("CREATE TABLE audit_log (action text)")
        with pytest.raises(SchemaError, match="was not made by pglog_audit"):
            run(empty_database)


class TestApart:
    def test_a_newer_client_works_with_an_older_table(self, old: Database) -> None:
        """It writes, reads, maintains and examines; and says once what to run."""
        logger = configure(old.writer)
        logger.info("Seen", extra=audit("page.view"))
        flush(logger)
        log = AuditLog(old.owner)
        assert [event.action for event in log.timeline()] == ["page.view"]
        assert [gap.kind for gap in log.gaps()] == ["tail"]
        with psycopg.connect(old.owner, autocommit=True) as connection:
            assert maintain(connection).made == ()
            assert schema.init(connection, writer=WRITER).version == schema.VERSION - 1
        findings = find(old)
        assert {finding.status for finding in findings.values()} == {"ok"}
        assert findings["table"].advice == "As postgres: pglog-audit upgrade"
        output = CliRunner().invoke(cli, ["init", "--conninfo", old.owner]).output
        assert "older than 2: pglog-audit upgrade brings it up" in output

    def test_an_upgrade_under_a_running_writer(self, old: Database) -> None:
        """A writer that began before goes on, and loses none."""
        logger = configure(old.writer)
        logger.info("Seen", extra=audit("page.view"))
        flush(logger)
        run(old)
        logger.info("Seen", extra=audit("page.view"))
        flush(logger)
        assert len(old.rows()) == 2

    def test_an_older_client_works_with_a_newer_table(self, database: Database) -> None:
        """A table that is one version ahead is written, read and examined, and nothing is wrong."""
        database.execute(
            f"COMMENT ON TABLE audit_log IS 'pglog_audit schema {schema.VERSION + 1}, monthly partitions: later'"
        )
        logger = configure(database.writer)
        logger.info("Seen", extra=audit("page.view"))
        flush(logger)
        assert [event.action for event in AuditLog(database.owner).timeline()] == ["page.view"]
        with psycopg.connect(database.owner, autocommit=True) as connection:
            assert maintain(connection).made == ()
        findings = find(database)
        assert {finding.status for finding in findings.values()} == {"ok"}
        assert findings["table"].advice == "Upgrade pglog-audit here."
