"""Row-level security by tenant: what readers see, of all months, and whom it does not bind."""

from contextlib import contextmanager
from uuid import uuid4

import psycopg
import pytest
from click.testing import CliRunner
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.errors import InsufficientPrivilege, InvalidTextRepresentation

from pglog_audit import AuditLog, audit, schema
from pglog_audit.cli.commands import cli
from pglog_audit.doctor import Target, examine
from pglog_audit.errors import ConfigurationError, SchemaError
from tests.support import configure, flush

WRITER, READER, SECOND = "pglog_tenants_app", "pglog_tenants_support", "pglog_tenants_second"
MINE, OTHERS = uuid4(), uuid4()
TIMES = ("now()", "now() + interval '2 months'", "'2099-01-01'")
"""In the partition of this month, of another, and in the default one."""
SET_TENANT = "SELECT set_config('pglog_audit.tenant', %s, false)"
RELATIONS = ("audit_log", "audit_timeline")


@pytest.fixture
def database(any_database):
    """Make the roles, a secured table and events of two tenants and of none, in three partitions."""
    names = sql.SQL(", ").join(map(sql.Identifier, (WRITER, READER, SECOND)))
    any_database.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(names))
    for role in (WRITER, READER, SECOND):
        any_database.execute(f"CREATE ROLE {role} LOGIN")
    init(any_database, writer=WRITER, reader=READER, rls=True)
    for time in TIMES:
        for tenant in (MINE, OTHERS, None):
            any_database.execute(
                f"INSERT INTO audit_log (action, tenant_id, occurred_at) VALUES ('x.y', %s, {time})", tenant
            )
    yield any_database
    any_database.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(names))
    any_database.execute(sql.SQL("DROP ROLE {}").format(names))


def init(database, **options):
    """Run init as the superuser."""
    with psycopg.connect(database.owner) as connection:
        return schema.init(connection, **options)


@contextmanager
def session(database, role=READER, tenant=None):
    """Connect as *role*, with that tenant set for the session."""
    with psycopg.connect(make_conninfo(database.owner, user=role), autocommit=True) as connection:
        if tenant is not None:
            connection.execute(SET_TENANT, [str(tenant)])
        yield connection


def seen(connection, relation="audit_log"):
    """Return the tenants of the events that are seen there."""
    return [row[0] for row in connection.execute(f"SELECT tenant_id FROM {relation}")]


def finding(database):
    """Return what doctor says of tenants."""
    examination = examine(Target(database.owner, "--conninfo"), writer=WRITER)
    [found] = [each for each in examination.findings if each.name == "tenants"]
    return found


class TestReader:
    @pytest.mark.parametrize("relation", RELATIONS)
    def test_sees_its_tenant_in_every_partition(self, database, relation):
        """The events of this month, of another and of the default partition, in table and view."""
        with session(database, tenant=MINE) as reader:
            assert seen(reader, relation) == [MINE] * len(TIMES)

    @pytest.mark.parametrize("relation", RELATIONS)
    @pytest.mark.parametrize("tenant", [None, "", uuid4()])
    def test_sees_nothing_without_a_tenant(self, database, relation, tenant):
        """Not set, empty or another: no event, and not those that belong to nobody."""
        with session(database, tenant=tenant) as reader:
            assert seen(reader, relation) == []

    def test_sees_nothing_after_the_transaction(self, database):
        """What SET LOCAL set leaves an empty text behind, which is no tenant."""
        with session(database) as reader:
            with reader.transaction():
                reader.execute("SELECT set_config('pglog_audit.tenant', %s, true)", [str(MINE)])
                assert len(seen(reader)) == len(TIMES)
            assert seen(reader) == []

    def test_is_told_of_what_is_no_id(self, database):
        """A tenant that cannot be is an error, not everything."""
        with session(database, tenant="' OR true --") as reader, pytest.raises(InvalidTextRepresentation):
            seen(reader)

    @pytest.mark.parametrize("partition", ["audit_log_default", None])
    def test_does_not_get_into_partitions(self, database, partition):
        """There no policy would bind it."""
        months = "SELECT relid::text AS name FROM pg_partition_tree('audit_log') WHERE isleaf"
        partition = partition or database.rows(months)[0]["name"]
        with session(database, tenant=MINE) as reader, pytest.raises(InsufficientPrivilege):
            seen(reader, partition)

    def test_is_answered_off_the_index_of_tenants(self, database):
        """What a tenant may see is looked up, not filtered out of everybody's."""
        with session(database, tenant=MINE) as reader:
            reader.execute("SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off")
            page = "SELECT * FROM audit_log WHERE occurred_at < now() ORDER BY occurred_at DESC LIMIT 50"
            plan = "\n".join(row[0] for row in reader.execute(f"EXPLAIN (COSTS OFF) {page}"))
        assert "tenant_id_occurred_at_idx" in plan
        assert "Index Cond: ((tenant_id = (NULLIF(current_setting(" in plan

    def test_asks_by_the_library(self, database):
        """The tenant comes with the connection."""
        options = f"-c pglog_audit.tenant={MINE}"
        log = AuditLog(make_conninfo(database.owner, user=READER, options=options))
        assert [event.tenant_id for event in log.timeline()] == [MINE] * len(TIMES)

    def test_cannot_set_what_its_own_policy_says(self, database):
        """A role with a policy of its own, and not named to init, sees that tenant whatever it sets."""
        database.execute(f"GRANT SELECT ON audit_log TO {SECOND}")
        database.execute(f"CREATE POLICY second ON audit_log FOR SELECT TO {SECOND} USING (tenant_id = '{MINE}')")
        with session(database, SECOND, tenant=OTHERS) as reader:
            assert set(seen(reader)) == {MINE}
        assert finding(database).advice == "Besides: those that policy second is for."

    @pytest.mark.parametrize("rls", [True, False])
    def test_that_comes_later_is_bound_as_well(self, database, rls):
        """Once on, security is for every reader that init is given."""
        assert init(database, reader=SECOND, rls=rls).rls
        for role in (READER, SECOND):
            with session(database, role, tenant=OTHERS) as reader:
                assert set(seen(reader)) == {OTHERS}
            with session(database, role) as reader:
                assert seen(reader) == []

    def test_of_before_sees_nothing_until_it_is_named(self, database):
        """Doctor tells of it, and what to run."""
        database.execute(f"GRANT SELECT ON audit_log TO {SECOND}")
        with session(database, SECOND, tenant=MINE) as reader:
            assert seen(reader) == []
        found = finding(database)
        assert (found.status, found.text) == ("wrong", f"{SECOND} may read, and no policy shows it a row")
        assert found.advice == f"pglog-audit init --rls --reader {SECOND}"


class TestOthers:
    def test_the_writer_inserts_for_all_tenants(self, database):
        """One writer has the events of all, and its own rows about the trail."""
        logger = configure(make_conninfo(database.owner, user=WRITER))
        for tenant in (MINE, OTHERS, None):
            logger.info("Opened", extra=audit("ticket.open", tenant_id=tenant))
        flush(logger)
        rows = database.rows("SELECT tenant_id FROM audit_log WHERE action = 'ticket.open' ORDER BY writer_seq")
        assert [row["tenant_id"] for row in rows] == [MINE, OTHERS, None]

    def test_a_role_of_both_reads_as_a_reader(self, database):
        """An application that shows the log to its customers writes all and reads one."""
        init(database, writer=SECOND, reader=SECOND)
        with session(database, SECOND, tenant=MINE) as both:
            both.execute(
                "INSERT INTO audit_log (action, tenant_id) VALUES ('x.y', %s) ON CONFLICT DO NOTHING", [OTHERS]
            )
            assert set(seen(both)) == {MINE}

    def test_owner_and_bypassrls_see_all(self, database):
        """Who maintains must see what it moves; doctor names who else does."""
        database.execute(f"ALTER ROLE {READER} BYPASSRLS")
        with session(database) as reader:
            assert len(seen(reader)) == 3 * len(TIMES)
        database.execute(f"ALTER TABLE audit_log OWNER TO {SECOND}")
        with session(database, SECOND) as owner:
            assert len(seen(owner)) == 3 * len(TIMES)
        found = finding(database)
        assert (found.status, found.advice) == ("ok", f"Besides: {READER}, whom no policy binds.")


class TestInit:
    def test_a_second_time_changes_nothing(self, database):
        """Policies and their roles stay as they are."""
        policies = (
            "SELECT polname, polcmd, polroles, pg_get_expr(polqual, polrelid) AS qual FROM pg_policy ORDER BY polname"
        )
        before = database.rows(policies)
        init(database, writer=WRITER, reader=READER, rls=True)
        assert [row["polname"] for row in before] == ["insert_events", "read_own_tenant"]
        assert database.rows(policies) == before

    @pytest.mark.parametrize(("id_type", "tenant"), [("bigint", "7"), ("integer", "7"), ("text", "acme")])
    def test_tenants_of_other_types(self, database, id_type, tenant):
        """Numbers and texts name tenants too; an empty text, which is none, is not seen by who names none."""
        init(database, table="other", writer=WRITER, reader=READER, rls=True, id_types={"tenant_id": id_type})
        database.execute("INSERT INTO other (action, tenant_id) VALUES ('x.y', %s)", tenant)
        if id_type == "text":
            database.execute("INSERT INTO other (action, tenant_id) VALUES ('x.y', '')")
        with session(database, tenant=tenant) as reader:
            assert [str(each) for each in seen(reader, "other")] == [tenant]
            reader.execute(SET_TENANT, [""])
            assert seen(reader, "other") == []
        examination = examine(Target(database.owner, "--conninfo", "other"), writer=WRITER)
        assert [each.status for each in examination.findings if each.name == "tenants"] == ["ok"]

    @pytest.mark.parametrize("options", [{"reader": READER, "rls": True}, {"reader": SECOND}, {"writer": WRITER}])
    def test_closes_a_view_of_before(self, database, options):
        """One that PostgreSQL 14 made shows its owner's rows to whoever may read it, also in later versions."""
        database.execute("ALTER VIEW audit_timeline RESET (security_invoker)")
        with session(database) as reader:
            assert len(seen(reader, "audit_timeline")) == 3 * len(TIMES)
            assert init(database, **options).closed_view
            assert seen(reader, "audit_timeline") == []
            assert not init(database, **options).closed_view
        assert finding(database).status == "ok"

    def test_closes_a_view_of_ones_own(self, database):
        """It is granted like init's, and told; however it says so, one that is closed stays as it is."""
        database.execute("DROP VIEW audit_timeline; CREATE VIEW audit_timeline AS SELECT tenant_id FROM audit_log")
        result = CliRunner().invoke(cli, ["init", "--conninfo", database.owner, "--reader", READER])
        assert (
            "Until now public.audit_timeline showed the events of all tenants, by its owner's rights" in result.output
        )
        database.execute("ALTER VIEW audit_timeline SET (security_invoker = yes)")
        assert finding(database).status == "ok"
        assert not init(database, reader=READER).closed_view

    def test_refuses_a_copy_in_the_place_of_the_view(self, database):
        """Nothing closes a materialized view, and the reader would be let in."""
        database.execute("DROP VIEW audit_timeline; CREATE MATERIALIZED VIEW audit_timeline AS SELECT * FROM audit_log")
        with pytest.raises(SchemaError, match=r"public\.audit_timeline is a materialized view"):
            init(database, reader=SECOND)
        with session(database, SECOND) as reader, pytest.raises(InsufficientPrivilege):
            seen(reader, "audit_timeline")

    def test_leaves_the_view_to_its_owner_without_row_level_security(self, database):
        """Who was let into the view alone goes on reading."""
        init(database, table="other", reader=READER)
        database.execute("ALTER VIEW other_timeline RESET (security_invoker)")
        assert not init(database, table="other", reader=SECOND).closed_view
        database.execute(f"REVOKE SELECT ON other FROM {READER}")
        with session(database) as reader:
            assert seen(reader, "other_timeline") == []

    def test_leaves_policies_of_others_alone(self, database):
        """A table that its owner secured by policies of their own gets none of ours with a further reader."""
        init(database, table="other", writer=WRITER)
        database.execute("ALTER TABLE other ENABLE ROW LEVEL SECURITY; CREATE POLICY mine ON other USING (true)")
        assert not init(database, table="other", reader=SECOND).rls
        assert database.rows("SELECT polname FROM pg_policy WHERE polrelid = 'other'::regclass") == [
            {"polname": "mine"}
        ]


FAULTS = {
    "ALTER TABLE audit_log DISABLE ROW LEVEL SECURITY": "there are policies, but row-level security is off",
    "ALTER TABLE audit_log FORCE ROW LEVEL SECURITY": "row-level security binds postgres too",
    "ALTER TABLE audit_log_retained FORCE ROW LEVEL SECURITY": "who then maintains public.audit_log_retained without",
    "ALTER VIEW audit_timeline RESET (security_invoker)": "public.audit_timeline shows the events of all tenants",
    "ALTER POLICY read_own_tenant ON audit_log USING (true)": "policy read_own_tenant is not as init makes it",
}


@pytest.mark.parametrize("statement", FAULTS)
def test_doctor_finds_what_undoes_it(database, statement):
    """What is printed can be pasted, and then the line is ok."""
    assert finding(database).text == "a reader sees the events of the tenant in pglog_audit.tenant"
    database.execute(statement)
    found = finding(database)
    assert found.status == "wrong"
    assert FAULTS[statement] in found.text
    database.execute(found.advice.removeprefix("As postgres: ").partition("; then")[0])
    init(database, reader=READER, rls=True)
    assert finding(database).status == "ok"


def test_a_partition_that_binds_its_owner(database):
    """Though the table has no policies, retain would count no rows there, nor tell which went."""
    init(database, table="other")
    database.execute("ALTER TABLE other_default ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    examination = examine(Target(database.owner, "--conninfo", "other"))
    [found] = [each for each in examination.findings if each.name == "tenants"]
    assert found.advice == "As postgres: ALTER TABLE public.other_default NO FORCE ROW LEVEL SECURITY;"


def test_it_needs_a_reader():
    """Row-level security is about who reads."""
    with pytest.raises(ConfigurationError, match="name a reader"):
        schema.script(rls=True, writer="app")
