"""The roles of the table: owner, writer, reader and operator, made by who may make roles and is no superuser."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import psycopg
import pytest
from click.testing import CliRunner
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.errors import InsufficientPrivilege, LockNotAvailable

from pglog_audit import AuditLog, ddl, owned_table, schema, scripts
from pglog_audit.cli.commands import cli
from pglog_audit.doctor import Target, examine
from pglog_audit.errors import ConfigurationError, SchemaError
from pglog_audit.maintenance import maintain
from pglog_audit.retention import retain
from pglog_audit.roles import Roles
from pglog_audit.steps import STEPS
from pglog_audit.upgrade import upgrade
from tests.conftest import Database

INSERT = "INSERT INTO audit_log (action) VALUES ('x.y')"
OWNERS = "SELECT DISTINCT relowner::regrole::text AS owner FROM pg_class WHERE relname ~ '^audit_(log|timeline)'"
CATALOG = """
    SELECT 'relation', relname::text, relkind::text, relowner::regrole::text, relacl::text, relrowsecurity::text
      FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind <> 't'
    UNION ALL
    SELECT 'column', attrelid::regclass::text, attname::text, attacl::text, null, null
      FROM pg_attribute WHERE attacl IS NOT NULL AND attrelid = to_regclass('audit_log')
    UNION ALL
    SELECT 'function', proname::text, proowner::regrole::text, proacl::text, null, null
      FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'schema', nspname::text, nspacl::text, null, null, null FROM pg_namespace WHERE nspname = 'public'
    UNION ALL
    SELECT 'member', roleid::regrole::text, member::regrole::text, (to_jsonb(m) - '{oid,roleid}'::text[])::text,
           null, null
      FROM pg_auth_members AS m
    UNION ALL
    SELECT 'setting', setrole::regrole::text, setconfig::text, null, null, null
      FROM pg_db_role_setting JOIN pg_database ON pg_database.oid = setdatabase AND datname = current_database()
    UNION ALL
    SELECT 'role', rolname::text, rolcanlogin::text, null, null, null FROM pg_roles
     ORDER BY 1, 2, 3, 4
"""
GRANTED_TO_OTHERS = """
    SELECT oid::regclass::text AS relation, grantee::regrole::text AS grantee, privilege_type AS privilege
      FROM pg_class CROSS JOIN aclexplode(relacl)
     WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v') AND grantee <> relowner
     ORDER BY 1, 2, 3
"""
GRANTED = {"audit_log", "audit_log_retained", "audit_timeline"}
REMOVE = "DROP TABLE audit_log, audit_log_retained CASCADE; DROP FUNCTION audit_log_append_only"
PLANTED = """
    CREATE TABLE audit_log_retained (
        partition text, begins timestamptz, ends timestamptz, events bigint, writer_id uuid, claim jsonb,
        retained_at timestamptz, retained_by text
    )
"""
NOW = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
OLD = NOW.replace(year=NOW.year - 2)
ABROAD = "-c datestyle=German -c timezone=Asia/Kolkata"


@dataclass(frozen=True)
class Site:
    """A managed server: its superuser is not ours, and *admin* may make roles and owns the database."""

    database: Database
    owner: str = "pglog_site_owner"
    admin: str = "pglog_site_admin"
    writer: str = "pglog_site_app"
    reader: str = "pglog_site_auditor"
    operator: str = "pglog_site_ops"

    @property
    def roles(self):
        """The four that init takes."""
        return {name: getattr(self, name) for name in ("owner", "writer", "reader", "operator")}

    def conninfo(self, role):
        """Return how *role* connects."""
        return make_conninfo(self.database.owner, user=role)

    def connect(self, role, **options):
        """Connect as *role*."""
        return psycopg.connect(make_conninfo(self.database.owner, user=role), **options)

    def init(self, role=None, **options):
        """Run init as *role*, by default as the administrator."""
        with self.connect(role or self.admin) as connection:
            return schema.init(connection, **options)

    def as_owner(self, statement):
        """Run *statement* as the owner."""
        self.database.execute(f"SET ROLE {self.owner}; {statement.replace('%', '%%')}")

    def may(self, role, *statements):
        """Tell whether *role* may do all that; nothing of it stays."""
        with self.connect(role) as connection:
            try:
                for statement in statements:
                    connection.execute(statement)
            except InsufficientPrivilege:
                return False
            finally:
                connection.rollback()
        return True

    def catalog(self):
        """Return what the catalogs say about table and roles."""
        return self.database.rows(CATALOG)


@pytest.fixture
def site(any_database):
    """Make the roles, by the administrator's hand, and take them away."""
    site = Site(any_database)
    names = sql.SQL(", ").join(map(sql.Identifier, (site.admin, *site.roles.values())))
    any_database.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(names))
    any_database.execute(f"CREATE ROLE {site.admin} LOGIN CREATEROLE")
    any_database.execute(f"ALTER DATABASE {any_database.name} OWNER TO {site.admin}")
    with site.connect(site.admin) as connection:
        for role in (site.writer, site.reader, site.operator):
            connection.execute(f"CREATE ROLE {role} LOGIN NOINHERIT")
    yield site
    any_database.execute(f"ALTER DATABASE {any_database.name} OWNER TO postgres")
    any_database.execute(
        sql.SQL("DROP OWNED BY {} CASCADE").format(
            sql.SQL(", ").join(
                sql.Identifier(row["rolname"])
                for row in any_database.rows("SELECT rolname FROM pg_roles WHERE rolname ~ '^pglog_site'")
            )
        )
    )
    any_database.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(names))


class TestAll:
    def test_are_given_what_they_need(self, site):
        """Without superuser: who owns does not log in, and each other role does its own and nothing else."""
        result = site.init(**site.roles)
        assert (result.owner, result.created, result.limits_writer) == (site.owner, True, True)
        assert site.database.rows(OWNERS) == [{"owner": site.owner}]
        with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
            site.connect(site.owner)
        assert site.may(site.writer, INSERT)
        assert site.may(site.reader, "TABLE audit_log", "TABLE audit_timeline")
        assert site.may(site.operator, f"SET ROLE {site.owner}", "ALTER TABLE audit_log ADD COLUMN mine text")
        assert not site.may(site.writer, "TABLE audit_log")
        assert not site.may(site.reader, INSERT)

    def test_are_in_order_for_doctor(self, site):
        """The operator finds nothing wrong, though it may not insert, and reads who may act as the owner."""
        site.init(**site.roles)
        # Before PostgreSQL 18 IST is Israel's time, whatever the session's zone calls so.
        abroad = make_conninfo(site.database.owner, options=ABROAD)
        target = Target(make_conninfo(abroad, user=site.operator), "--conninfo")
        found = {finding.name: finding for finding in examine(target, writer=site.writer).findings}
        assert [name for name, finding in found.items() if finding.status == "wrong"] == []
        assert (found["insert"].status, found["insert"].text) == ("hidden", f"{site.operator} may not insert")
        assert found["owner"].text == (
            f"{site.owner} owns table and guards; {site.operator} may act as it, besides superusers"
        )
        assert found["owner"].advice is None

    def test_may_have_any_name(self, any_database):
        """Quoting is ours to do."""
        roles = {option: f'{option} of "it\'s" %s $owner$' for option in ("owner", "writer", "reader", "operator")}
        names = sql.SQL(", ").join(map(sql.Identifier, roles.values()))
        with psycopg.connect(any_database.owner, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(names))
            for role in list(roles.values())[1:]:
                connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
            for _ in range(2):
                result = schema.init(connection, rls=True, **roles)
            connection.execute(REMOVE)
            connection.execute(schema.script(rls=True, **roles))
            connection.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(names))
            connection.execute(sql.SQL("DROP ROLE {}").format(names))
        assert result.owner == roles["owner"]

    def test_a_second_time_nothing_changes(self, site):
        """Whoever runs init with each deployment finds all as it was."""
        site.init(**site.roles)
        before = site.catalog()
        assert not site.init(**site.roles).created
        assert site.catalog() == before

    def test_the_script_makes_the_same(self, site):
        """`pglog-audit sql` and init leave the same owners, privileges, members and settings."""
        site.init(**site.roles)
        made = site.catalog()
        site.database.execute(REMOVE)
        site.database.execute(f"DROP OWNED BY {site.owner}; DROP ROLE {site.owner}")
        site.database.execute(f"ALTER ROLE {site.writer} IN DATABASE {site.database.name} RESET ALL")
        with site.connect(site.admin, autocommit=True) as connection:
            connection.execute(schema.script(**site.roles))
        assert site.catalog() == made

    def test_public_and_partitions_get_nothing(self, site):
        """What is granted is granted on table, view and what was retained, to reader and by column to the writer."""
        site.init(**site.roles)
        relations = ("audit_log", "audit_log_retained", "audit_timeline")
        assert site.database.rows(GRANTED_TO_OTHERS) == [
            {"relation": relation, "grantee": site.reader, "privilege": "SELECT"} for relation in relations
        ]
        public = "SELECT FROM pg_proc, aclexplode(coalesce(proacl, acldefault('f', proowner)))"
        assert site.database.rows(f"{public} WHERE pronamespace = 'public'::regnamespace AND grantee = 0") == []


class TestOwner:
    def test_the_administrator_is_it_only_meanwhile(self, site):
        """The membership that init needs is given back."""
        site.init(**site.roles)
        assert not site.may(site.admin, "TABLE audit_log")

    def test_a_membership_of_before_stays(self, site):
        """What the administrator had is not taken away."""
        with site.connect(site.admin) as connection:
            connection.execute(f"CREATE ROLE {site.owner} NOLOGIN")
            connection.execute(f"GRANT {site.owner} TO CURRENT_USER")
        site.init(**site.roles)
        assert site.may(site.admin, f"SET ROLE {site.owner}")

    def test_by_default_is_who_connects(self, site):
        """A single role owns what it made, and the result says so."""
        assert site.init(writer=site.writer).owner == site.admin
        assert site.database.rows(OWNERS) == [{"owner": site.admin}]

    def test_takes_over_what_a_single_role_began(self, site):
        """Table, partitions, view and guard change hands; the grants stay, and the old owner has nothing left."""
        site.init(writer=site.writer, reader=site.reader)
        site.init(owner=site.owner)
        assert site.database.rows(OWNERS) == [{"owner": site.owner}]
        assert site.database.rows(
            "SELECT DISTINCT proowner::regrole::text AS owner FROM pg_proc WHERE proname ~ '^audit'"
        ) == [{"owner": site.owner}]
        assert not site.may(site.admin, INSERT)
        assert site.may(site.writer, INSERT)
        assert site.may(site.reader, "TABLE audit_timeline")

    def test_makes_the_table_where_who_connects_would(self, site):
        """The "$user" of search_path goes on meaning the administrator."""
        with site.connect(site.admin) as connection:
            connection.execute(f"CREATE SCHEMA {site.admin}")
            assert schema.init(connection, owner=site.owner).table == f"{site.admin}.audit_log"

    def test_the_callers_session_stays_as_it_was(self, site):
        """In a transaction of the caller's, role and search_path are the caller's again."""
        with site.connect(site.admin) as connection:
            before = connection.execute("SELECT current_user, current_setting('search_path')").fetchone()
            schema.init(connection, owner=site.owner)
            assert connection.execute("SELECT current_user, current_setting('search_path')").fetchone() == before

    def test_takes_the_guard_from_who_planted_it(self, site):
        """A function of the guard's name that is there already belongs to the owner afterwards."""
        site.database.execute(f"GRANT CREATE ON SCHEMA public TO {site.writer}")
        with site.connect(site.writer) as connection:
            connection.execute(
                "CREATE FUNCTION audit_log_append_only() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"
            )
        site.init("postgres", writer=site.writer)
        replace = "CREATE OR REPLACE FUNCTION audit_log_append_only() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END'"
        assert not site.may(site.writer, replace)


class TestSchemaOfItsOwn:
    """`CREATE SCHEMA audit`, where nobody may enter but who made it."""

    @pytest.fixture(params=["admin", "postgres"])
    def maker(self, site, request):
        """Make the schema, and return who did."""
        maker = {"admin": site.admin}.get(request.param, request.param)
        with site.connect(maker) as connection:
            connection.execute("CREATE SCHEMA audit")
        return maker

    @pytest.mark.parametrize("given", [("writer", "reader", "operator"), ("reader",), ("writer",)])
    def test_is_opened_for_who_writes_and_reads(self, site, maker, given):
        """By who connects: the owner of the table cannot, and need not be able to."""
        roles = {name: site.roles[name] for name in given}
        for _ in range(2):
            site.init(maker, table="audit.audit_log", owner=site.owner, **roles)
        assert site.may(site.writer, "INSERT INTO audit.audit_log (action) VALUES ('x.y')") == ("writer" in given)
        assert site.may(site.reader, "TABLE audit.audit_log", "TABLE audit.audit_timeline") == ("reader" in given)
        assert not site.may(site.writer, "CREATE TABLE audit.mine ()")

    def test_is_kept_by_the_operator(self, site, maker):
        """Who may act as the owner finds the table there."""
        site.init(maker, table="audit.audit_log", owner=site.owner, operator=site.operator)
        with site.connect(site.operator, autocommit=True) as connection:
            assert len(maintain(connection, table="audit.audit_log", ahead=13).made) == 1
            assert list(retain(connection, "1year", table="audit.audit_log")) == []
            assert upgrade(connection, table="audit.audit_log").after == schema.VERSION
            connection.execute(schema.partitions_script(table="audit.audit_log"))

    def test_is_opened_by_the_script(self, site, maker):
        """`pglog-audit sql` grants the same."""
        with site.connect(maker, autocommit=True) as connection:
            connection.execute(schema.script(table="audit.audit_log", **site.roles))
        assert site.may(site.writer, "INSERT INTO audit.audit_log (action) VALUES ('x.y')")
        assert site.may(site.reader, "TABLE audit.audit_log")

    def test_of_a_stranger_is_told(self, site, maker):
        """Who can let them in is told how, before anything is changed."""
        site.init(maker, table="audit.audit_log", owner=site.owner, operator=site.operator)
        before = site.catalog()
        with pytest.raises(InsufficientPrivilege, match=f"GRANT USAGE ON SCHEMA audit TO {site.writer}, then init"):
            site.init(site.operator, table="audit.audit_log", writer=site.writer)
        assert site.catalog() == before
        with site.connect(maker) as connection:
            connection.execute(f"GRANT USAGE ON SCHEMA audit TO {site.writer}")
        site.init(site.operator, table="audit.audit_log", writer=site.writer)
        assert site.may(site.writer, "INSERT INTO audit.audit_log (action) VALUES ('x.y')")


class TestOperator:
    def test_has_nothing_until_it_says_so(self, site):
        """Without SET ROLE it may neither read nor write nor drop."""
        site.init(**site.roles)
        for statement in ("TABLE audit_log", INSERT, "DROP TABLE audit_log CASCADE"):
            assert not site.may(site.operator, statement)
            assert site.may(site.operator, f"SET ROLE {site.owner}", statement)

    def test_cannot_make_others_the_owner(self, site):
        """Who may act as the owner may not hand that on."""
        site.init(**site.roles)
        grant = f"GRANT {site.owner} TO {site.writer}"
        assert not site.may(site.operator, grant)
        assert not site.may(site.operator, f"SET ROLE {site.owner}", grant)

    def test_does_not_inherit(self, site):
        """From PostgreSQL 16 on SET ROLE is needed whatever the role's own attribute says."""
        site.database.execute(f"ALTER ROLE {site.operator} INHERIT")
        site.init(**site.roles)
        is_old = site.database.rows("SELECT current_setting('server_version_num')::int < 160000 AS is_old")[0]["is_old"]
        assert site.may(site.operator, "TABLE audit_log") == is_old

    def test_asks_as_the_owner(self, site):
        """The connection can say SET ROLE, so that each command does: gaps for one, which wants to see every row."""
        site.init(**site.roles, rls=True)
        conninfo = make_conninfo(site.database.owner, user=site.operator)
        with pytest.raises(InsufficientPrivilege):
            list(AuditLog(conninfo).gaps())
        log = AuditLog(make_conninfo(conninfo, options=f"-c role={site.owner}"))
        assert (list(log.timeline()), list(log.gaps())) == ([], [])

    def test_may_name_a_writer_later(self, site):
        """A later init acts as the owner by itself where the role that connects may."""
        site.init(owner=site.owner, operator=site.operator)
        result = site.init(site.operator, writer=site.writer)
        assert (result.owner, result.limits_writer) == (site.owner, False)
        assert site.may(site.writer, INSERT)

    def test_of_a_single_role(self, site):
        """Without --owner it may act as who owns the table."""
        site.init(writer=site.writer)
        site.init("postgres", operator="pg_monitor")
        members = "SELECT pg_has_role('pg_monitor', %s, 'MEMBER') AS is_member"
        assert site.database.rows(members, site.admin) == [{"is_member": True}]
        site.database.execute(f"REVOKE {site.admin} FROM pg_monitor")

    def test_cannot_have_made_the_owner_what_it_is(self, site):
        """Two roles cannot be members of each other: who is one of the operator's may not be the owner."""
        site.database.execute(f"GRANT {site.operator} TO {site.admin}")
        with pytest.raises(InsufficientPrivilege, match=f"{site.admin} is a member of {site.operator}"):
            site.init("postgres", owner=site.admin, operator=site.operator)


class TestPartsOfOthers:
    """The table is its owner's, and something that belongs to it is not."""

    @pytest.fixture
    def month(self, site):
        """Make a month far ahead as a superuser, who keeps it, and return its name."""
        site.init(**site.roles)
        begin = STEPS["monthly"].after(NOW, 20)
        name = f"audit_log_{begin:%Y_%m}"
        site.database.execute(
            f"CREATE TABLE {name} PARTITION OF audit_log"
            f" FOR VALUES FROM ('{begin}') TO ('{STEPS['monthly'].after(begin)}')"
        )
        return name

    def test_a_partition_keeps_no_other_from_being_made(self, site, month):
        """It is told whose it is and what to run, after all else is done."""
        site.as_owner("DROP TRIGGER refuse_truncate ON audit_log")
        with site.connect(site.operator) as connection:
            done = maintain(connection, ahead=14)
        assert (len(done.made), [guard.relation for guard in done.restored]) == (2, ["public.audit_log"])
        statement = f"ALTER TABLE public.{month} OWNER TO {site.owner}"
        assert len(done.problems) == 1
        assert f"public.{month} belongs to postgres" in done.problems[0]
        assert statement in done.problems[0]
        result = CliRunner().invoke(cli, ["maintain", "--conninfo", site.conninfo(site.operator)])
        assert (result.exit_code, statement in result.output) == (4, True), result.output
        site.database.execute(statement)
        with site.connect(site.operator) as connection:
            assert maintain(connection).problems == ()

    def test_a_partition_of_a_role_that_the_owner_may_act_as(self, site, month):
        """It is as good as the owner's own."""
        site.database.execute(f"ALTER TABLE {month} OWNER TO pg_monitor; GRANT pg_monitor TO {site.owner}")
        with site.connect(site.operator) as connection:
            assert maintain(connection).problems == ()
        site.database.execute(f"DROP TABLE {month}; REVOKE pg_monitor FROM {site.owner}")

    def test_a_partition_is_named_by_retain(self, site, month):
        """Before anything goes."""
        with site.connect(site.operator) as connection, pytest.raises(SchemaError, match=f"TABLE public.{month} OWNER"):
            retain(connection, "1year")

    def test_a_table_that_was_given_away_by_itself(self, site):
        """Commands say what to run, and init --owner moves all of it: partitions, function, and what retain tells."""
        site.init(**site.roles)
        site.database.execute("GRANT CREATE ON SCHEMA public TO pg_monitor; ALTER TABLE audit_log OWNER TO pg_monitor")
        site.database.execute(f"GRANT pg_monitor TO {site.operator}")
        with site.connect(site.operator, autocommit=True) as connection:
            for command in (maintain, upgrade, partial(retain, keep="1year")):
                with pytest.raises(SchemaError, match=r"run pglog-audit init --owner .pg_monitor., or ALTER"):
                    command(connection)
        with site.connect("postgres") as connection:
            schema.init(connection, owner="pg_monitor", writer=site.writer)
        with site.connect(site.operator, autocommit=True) as connection:
            owners = connection.execute(
                "SELECT relowner::regrole::text FROM pg_class WHERE relname ~ '^audit_(log|timeline)' UNION"
                " SELECT proowner::regrole::text FROM pg_proc WHERE proname = 'audit_log_append_only'"
            ).fetchall()
            assert owners == [("pg_monitor",)]
            assert list(retain(connection, "1year")) == []
            assert maintain(connection).problems == ()
        site.database.execute(f"REVOKE pg_monitor FROM {site.operator}")


class TestRetained:
    """The table of what retention dropped, which its owner may drop."""

    def test_is_made_again_by_upgrade(self, site):
        """The other commands say so; what upgrade makes is as it was, grants and guards included."""
        site.init(**site.roles)
        before = site.catalog()
        site.as_owner("DROP TABLE audit_log_retained")
        with site.connect(site.operator, autocommit=True) as connection:
            for command in (maintain, partial(retain, keep="1year"), schema.init):
                with pytest.raises(SchemaError, match=r"no .*audit_log_retained.*run pglog-audit upgrade"):
                    command(connection)
        result = CliRunner().invoke(cli, ["upgrade", "--conninfo", site.conninfo(site.operator)])
        assert result.output.startswith("Made the table again that says what retention has dropped of public.audit_log")
        assert site.catalog() == before
        with site.connect(site.operator, autocommit=True) as connection:
            assert not upgrade(connection).restored
            assert maintain(connection).restored == ()


class TestLocks:
    """What others may hold, and who holds it."""

    ADVISORY = "SELECT pg_advisory_lock(hashtextextended('pglog_audit', 0))"
    IMPATIENT = "-c lock_timeout=200ms"

    def test_a_role_that_may_only_connect_stops_no_upkeep(self, site):
        """It may take the lock of setups, which upkeep does not need."""
        site.init(**site.roles)
        with site.connect(site.reader) as other, site.connect(site.operator) as connection:
            other.execute(self.ADVISORY)
            assert len(maintain(connection, ahead=13).made) == 1
            assert list(retain(connection, "1year")) == []
            assert upgrade(connection).after == schema.VERSION
            connection.autocommit = True
            connection.execute(schema.partitions_script())

    def test_an_owner_that_may_change_no_row(self, site):
        """Who took UPDATE, DELETE and TRUNCATE from the owner itself has its upkeep as well."""
        site.init(**site.roles)
        site.as_owner(f"REVOKE UPDATE, DELETE, TRUNCATE ON audit_log FROM {site.owner}")
        with site.connect(site.operator, autocommit=True) as connection:
            assert len(maintain(connection, ahead=13).made) == 1
            assert list(retain(connection, "1year")) == []
            connection.execute(schema.partitions_script())
        assert not site.init(**site.roles).created

    def test_who_holds_the_lock_of_setups_is_told(self, site):
        """An init waits for a minute, or as long as the session says."""
        with site.connect(site.reader) as other, site.connect(site.admin, options=self.IMPATIENT) as connection:
            other.execute(self.ADVISORY)
            who = f"process {other.info.backend_pid} of role {site.reader}: .*pg_terminate_backend"
            for owner in (site.owner, None):
                with pytest.raises(LockNotAvailable, match=who):
                    schema.init(connection, owner=owner)
            other.execute("SELECT pg_advisory_unlock_all()")
            assert schema.init(connection).created
            assert connection.execute("SHOW lock_timeout").fetchone() == ("200ms",)

    def test_no_setup_waits_for_ever(self, site):
        """Nor does a script, and a transaction of the caller's has its own timeout again afterwards."""
        for script in (schema.script(), schema.upgrade_script(2), schema.partitions_script()):
            assert "'lock_timeout', '1min'" in script
        with site.connect(site.admin) as connection:
            connection.execute("SELECT 1")
            schema.init(connection)
            assert connection.execute("SHOW lock_timeout").fetchone() == ("0",)

    def test_who_holds_the_table_is_told(self, site, monkeypatch):
        """A reader that keeps its transaction open is in the way of a partition that goes."""
        monkeypatch.setattr(owned_table, "_PAUSES", ())
        site.init(**site.roles)
        site.as_owner("CREATE TABLE old PARTITION OF audit_log FOR VALUES FROM ('2001-01-01') TO ('2001-02-01')")
        with site.connect(site.reader) as other, site.connect(site.operator) as connection:
            other.execute("TABLE audit_log")
            who = f"public.audit_log is locked, by process {other.info.backend_pid} of role {site.reader}"
            with pytest.raises(LockNotAvailable, match=who):
                list(retain(connection, "1year"))

    def test_an_init_of_a_table_waits_for_its_upkeep(self, site):
        """Both change the same rows of the catalog."""
        site.init(**site.roles)
        with site.connect(site.admin, options=self.IMPATIENT) as connection, site.connect("postgres") as other:
            other.execute("LOCK TABLE ONLY audit_log IN SHARE UPDATE EXCLUSIVE MODE")
            with pytest.raises(LockNotAvailable, match=f"process {other.info.backend_pid} of role postgres"):
                schema.init(connection, owner=site.owner)


class TestUpkeep:
    """What the operator's commands do as the owner, in a session whose dates and zone are written another way."""

    @pytest.fixture
    def kept(self, site):
        """Return a site whose table has a month of two years ago, and lacks this one, which has an event."""
        site.init(**site.roles, rls=True)
        for month, statement in {OLD: "CREATE TABLE %I PARTITION OF audit_log %s", NOW: "DROP TABLE %I"}.items():
            site.as_owner(
                f"DO $$BEGIN EXECUTE format('{statement}', 'audit_log_{month:%Y_%m}',"
                f" 'FOR VALUES FROM (''{month:%Y-%m}-01+00'') TO (''{month:%Y-%m}-28+00'')'); END$$"
            )
            site.as_owner(f"INSERT INTO audit_log (action, occurred_at) VALUES ('x.y', '{month:%Y-%m}-02T00:00Z')")
        return site

    def run(self, site, command, *arguments):
        """Run the command as the operator, which nobody has lent the owner's rights."""
        # Before PostgreSQL 18 IST is Israel's time, whatever the session's zone calls so.
        conninfo = make_conninfo(site.database.owner, user=site.operator, options=ABROAD)
        with psycopg.connect(conninfo, autocommit=True) as connection:
            return command(connection, *arguments)

    def find(self, site):
        """Return what doctor finds as the owner."""
        conninfo = make_conninfo(site.database.owner, user=site.operator, options=f"{ABROAD} -c role={site.owner}")
        found = examine(Target(conninfo, "--conninfo"), writer=site.writer).findings
        return {finding.name: finding for finding in found}

    def test_maintain_makes_months_of_the_owners(self, kept):
        """They belong to the owner, are given to nobody, and are no trace but that of the month that was dropped."""
        month = f"audit_log_{NOW:%Y_%m}"
        done = self.run(kept, maintain)
        assert (done.made, done.moved) == ((month,), 1)
        assert kept.database.rows(OWNERS) == [{"owner": kept.owner}]
        assert {row["relation"] for row in kept.database.rows(GRANTED_TO_OTHERS)} == GRANTED
        traces = self.find(kept)["traces"].text.split("; ")
        # Only the month that the test itself made, without a trigger, got one later.
        assert [trace for trace in traces if "there is no month" not in trace] == [
            f"triggers of public.audit_log_{OLD:%Y_%m} were made or switched after the table",
            f"public.{month} was made after the month that follows it",
        ]
        assert self.run(kept, maintain).made == ()

    def test_retain_tells_who_did_it(self, kept):
        """Who connected stands in the row, not whom it acted as; nothing is wrong then."""
        self.run(kept, maintain)
        gone = self.run(kept, lambda connection: list(retain(connection, "12months")))
        assert [(each.partition, each.begins, each.events) for each in gone] == [(f"audit_log_{OLD:%Y_%m}", OLD, 1)]
        [row] = kept.database.rows("SELECT user_label FROM audit_log WHERE action = 'audit.retain'")
        assert row["user_label"] == kept.operator
        found = self.find(kept)
        assert [name for name, finding in found.items() if finding.status == "wrong"] == []
        assert found["traces"].text == f"public.audit_log_{NOW:%Y_%m} was made after the month that follows it"

    def test_a_retain_that_was_ended_is_told(self, kept, monkeypatch):
        """Doctor names what is left of it, and the command that goes on."""
        monkeypatch.setattr("pglog_audit.retention._Retention.finish", lambda *_: iter(()))
        self.run(kept, lambda connection: list(retain(connection, "12months")))
        found = self.find(kept)["detached"]
        assert (found.status, found.text) == (
            "wrong",
            f"public.audit_log_{OLD:%Y_%m} was taken from the table by retain, and not dropped yet",
        )
        assert found.advice.endswith(f"\nAs {kept.owner}: pglog-audit retain --keep …")

    def test_upgrade_makes_tables_of_the_owners(self, site):
        """What a migration adds belongs to the owner, is read by who reads the events, and is secured as they are."""
        self.begin(site, 1)
        assert self.run(site, upgrade).after == schema.VERSION
        assert site.database.rows(OWNERS) == [{"owner": site.owner}]
        upgraded = site.catalog()
        site.database.execute(REMOVE)
        site.init(**site.roles, rls=True)
        assert site.catalog() == upgraded

    def test_scripts_act_as_the_owner(self, site):
        """So a migration tool or a scheduler inside of the server may connect as the operator, or a superuser."""
        for role in (site.operator, "postgres"):
            self.begin(site, 1)
            with site.connect(role, autocommit=True) as connection:
                connection.execute(schema.upgrade_script(schema.VERSION))
                site.as_owner(f"DROP TABLE audit_log_{NOW:%Y_%m}")
                connection.execute(schema.partitions_script())
            assert site.database.rows(OWNERS) == [{"owner": site.owner}]
            assert {row["relation"] for row in site.database.rows(GRANTED_TO_OTHERS)} == GRANTED
            site.database.execute(REMOVE)

    def begin(self, site, version):
        """Make the table of that schema."""
        with site.connect(site.admin) as connection:
            connection.execute(ddl.setup("audit_log"))
            connection.execute(ddl.prepare_roles("audit_log", site.owner, site.operator))
            connection.execute(ddl.create_table("audit_log", {}, version=version))
            connection.execute(ddl.create_view(*map(sql.Identifier, ("audit_log", "audit_timeline"))))
            relations = [sql.Identifier(name) for name in ("audit_log", "audit_timeline")]
            for statement in scripts.grants(Roles(**site.roles), relations, existing=False, rls=True):
                connection.execute(statement)

    def test_who_may_only_grant_the_owner_is_told_how(self, kept):
        """The administrator that made the owner's role is none of those that may act as it."""
        with (
            pytest.raises(SchemaError, match=f'GRANT "{kept.owner}" TO "{kept.admin}"'),
            kept.connect(kept.admin, autocommit=True) as connection,
        ):
            maintain(connection)

    def test_what_was_retained_is_hidden_from_tenants(self, kept):
        """It has no tenant: a reader that row-level security binds sees none of it."""
        self.run(kept, lambda connection: list(retain(connection, "12months")))
        query = "SELECT count(*) AS n FROM audit_log_retained"
        assert kept.database.rows(query) == [{"n": 1}]
        with kept.connect(kept.reader) as connection:
            assert connection.execute(query).fetchone() == (0,)

    def test_a_table_that_was_planted_for_it_stops_init(self, site):
        """Its triggers would run as the owner, so that nobody else's table is taken for ours."""
        site.database.execute(f"GRANT CREATE ON SCHEMA public TO {site.writer}")
        with site.connect(site.writer) as connection:
            connection.execute(PLANTED)
        for options in ({}, {"owner": site.owner}):
            with pytest.raises(InsufficientPrivilege, match=f"audit_log_retained belongs to {site.writer}"):
                site.init("postgres", **options)


class TestWriter:
    LIMITS = "SELECT name, setting FROM pg_settings WHERE name IN ('lock_timeout', 'statement_timeout') ORDER BY name"

    def limits(self, site):
        """Return the limits that a new session of the writer's has, in milliseconds."""
        with site.connect(site.writer) as connection:
            return dict(connection.execute(self.LIMITS).fetchall())

    def test_gets_limits(self, site):
        """A statement of the writer's waits 5 s for a lock, and ends after a minute."""
        site.init(**site.roles)
        assert self.limits(site) == {"lock_timeout": "5000", "statement_timeout": "60000"}

    @pytest.mark.parametrize("whose", ["ROLE {writer}", "ROLE {writer} IN DATABASE {name}", "DATABASE {name}"])
    def test_keeps_limits_of_its_own(self, site, whose):
        """What somebody set for role or database is left alone, no limit too."""
        whose = whose.format(writer=site.writer, name=site.database.name)
        site.database.execute(f"ALTER {whose} SET statement_timeout = 0")
        site.init(**site.roles)
        assert self.limits(site) == {"lock_timeout": "5000", "statement_timeout": "0"}

    def test_who_may_not_set_them_is_told(self, site):
        """The table is made all the same: each batch brings limits of its own."""
        site.database.execute(f"ALTER ROLE {site.admin} NOCREATEROLE")
        assert not site.init(writer=site.writer).limits_writer
        assert self.limits(site) == {"lock_timeout": "0", "statement_timeout": "0"}

    def test_may_not_act_as_the_owner_by_a_detour(self, site):
        """A member of the operator's role could undo each grant: all of it is refused."""
        with site.connect(site.admin) as connection:
            connection.execute(f"GRANT {site.operator} TO {site.writer}")
        before = site.catalog()
        with pytest.raises(SchemaError, match=f"{site.writer} owns public.audit_log or may act as its owner"):
            site.init(**site.roles)
        assert site.catalog() == before

    def test_who_owns_the_schema_is_told(self, site):
        """The owner of a schema may drop what is in it, whoever owns that."""
        site.database.execute(f"ALTER SCHEMA public OWNER TO {site.writer}")
        result = site.init("postgres", owner=site.owner, writer=site.writer, reader=site.reader)
        assert result.may_drop == {"writer"}
        assert site.may(site.writer, "DROP TABLE audit_log_default")


MISSING = {
    "to make the owner": (
        ["ALTER ROLE {admin} NOCREATEROLE"],
        "there is no role {owner}, and {admin} may not make it: who may runs CREATE ROLE {owner} NOLOGIN",
    ),
    "to act as the owner": (
        ["CREATE ROLE {owner}", "ALTER ROLE {admin} NOCREATEROLE"],
        "{admin} may not act as {owner}: who may grant it runs GRANT {owner} TO {admin}",
    ),
    "to let the owner make tables": (
        ["ALTER SCHEMA public OWNER TO postgres"],
        "{admin} may not let {owner} make tables in schema public: who owns it runs GRANT USAGE, CREATE ON SCHEMA",
    ),
    "to let the operator act as the owner": (
        ["CREATE ROLE {owner}", "GRANT {owner} TO {admin}", "ALTER ROLE {admin} NOCREATEROLE"],
        "{admin} may not let {operator} act as {owner}: who may grant it runs GRANT {owner} TO {operator}",
    ),
}


class TestMissingPrivileges:
    @pytest.mark.parametrize("what", MISSING)
    def test_are_told_before_anything_is_changed(self, site, what):
        """The message says who lacks what, and what to run; no role and no table is left."""
        statements, message = MISSING[what]
        names = {"admin": site.admin, **site.roles}
        for statement in statements:
            site.database.execute(statement.format(**names))
        before = site.database.rows("SELECT rolname FROM pg_roles UNION ALL SELECT relname FROM pg_class ORDER BY 1")
        with pytest.raises(InsufficientPrivilege) as caught:
            site.init(**site.roles)
        assert message.format(**names) in caught.value.diag.message_primary
        assert "DO" not in caught.value.diag.message_primary
        after = site.database.rows("SELECT rolname FROM pg_roles UNION ALL SELECT relname FROM pg_class ORDER BY 1")
        assert after == before

    def test_over_a_table_of_somebody_elses(self, site):
        """Who does not own the table cannot give it away."""
        site.init("postgres")
        with pytest.raises(InsufficientPrivilege, match=r"belongs to postgres, and .* may not give it away"):
            site.init(**site.roles)

    def test_to_make_a_superuser(self, site):
        """An operator of a table that a superuser owns would be one."""
        with pytest.raises(InsufficientPrivilege, match=r"would be a superuser .* give --owner a role that is none"):
            site.init("postgres", operator=site.operator)

    @pytest.mark.parametrize("option", ["writer", "reader", "operator"])
    def test_a_missing_role_is_named_with_its_statement(self, site, option):
        """Roles that people and programs log in with are made by who sets their password."""
        with pytest.raises(SchemaError, match='CREATE ROLE "No One" LOGIN'):
            site.init(**{**site.roles, option: "No One"})
        assert site.database.rows("SELECT FROM pg_roles WHERE rolname = %s", site.owner) == []


@pytest.mark.parametrize(("powerful", "bound"), [("owner", "writer"), ("owner", "reader"), ("operator", "writer")])
def test_one_role_cannot_be_both(powerful, bound):
    """Who may act as the owner is bound by no grant."""
    with pytest.raises(ConfigurationError, match=f"{powerful} and {bound} are both app"):
        schema.script(**{powerful: "app", bound: "app"})


@pytest.mark.parametrize("options", [{"owner": "o"}, {"operator": "o"}, {"rls": True, "reader": "r"}])
def test_another_programs_table_keeps_owner_and_policies(options):
    """--existing adds grants alone."""
    with pytest.raises(ConfigurationError, match="an existing table keeps"):
        schema.script(existing=True, **options)
