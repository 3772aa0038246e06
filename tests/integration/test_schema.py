"""The table that init makes: its columns, months, guards and grants, as owner and writer meet them."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.errors import InsufficientPrivilege
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from pglog_audit import schema
from pglog_audit.audit_event import EVENT_FIELDS
from pglog_audit.errors import SchemaError

WRITER = "pglog_writer"
READER = "pglog_reader"
PLAIN_OWNER = "pglog_plain_owner"
LOOKING = ("SELECT * FROM audit_log", "SELECT * FROM audit_timeline")

CATALOG = """
    SELECT 'relation', relname::text, relkind::text, relowner::regrole::text, relacl::text,
           obj_description(oid, 'pg_class'), pg_get_expr(relpartbound, oid)
      FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind <> 't'
    UNION ALL
    SELECT 'column', attrelid::regclass::text, attnum || ' ' || attname, format_type(atttypid, atttypmod),
           attacl::text, col_description(attrelid, attnum), attnotnull || ' ' || pg_get_expr(adbin, adrelid)
      FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
      LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
     WHERE relnamespace = 'public'::regnamespace AND attnum > 0
    UNION ALL
    SELECT 'index', indexrelid::regclass::text, pg_get_indexdef(indexrelid), indisvalid::text, null, null, null
      FROM pg_index JOIN pg_class ON pg_class.oid = indrelid WHERE relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'trigger', tgrelid::regclass::text, pg_get_triggerdef(oid), tgenabled::text, null, null, null
      FROM pg_trigger
    UNION ALL
    SELECT 'view', oid::regclass::text, pg_get_viewdef(oid), reloptions::text, null, null, null
      FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'v'
    UNION ALL
    SELECT 'function', proname::text, prosrc, proacl::text, proowner::regrole::text, null, null
      FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'schema', nspname::text, nspacl::text, null, null, null, null
      FROM pg_namespace WHERE nspname = 'public'
     ORDER BY 1, 2, 3
"""

COLUMNS = {
    "id": ("uuid", True, "gen_random_uuid()"),
    "occurred_at": ("timestamp with time zone", True, "clock_timestamp()"),
    "recorded_at": ("timestamp with time zone", True, "clock_timestamp()"),
    "action": ("text", True, None),
    "outcome": ("text", True, "'success'::text"),
    "user_id": ("uuid", False, None),
    "user_label": ("text", False, None),
    "event_id": ("uuid", False, None),
    "entity_type": ("text", False, None),
    "target_id": ("uuid", False, None),
    "target_label": ("text", False, None),
    "message": ("text", False, None),
    "changes": ("jsonb", False, None),
    "metadata": ("jsonb", True, "'{}'::jsonb"),
    "request_id": ("text", False, None),
    "tenant_id": ("uuid", False, None),
    "impersonator_id": ("uuid", False, None),
    "source_ip": ("inet", False, None),
    "user_agent": ("text", False, None),
    "trace_id": ("text", False, None),
    "service": ("text", False, None),
    "writer_id": ("uuid", False, None),
    "writer_seq": ("bigint", False, None),
}

VALUES = {
    "uuid": uuid4(),
    "timestamp with time zone": datetime.now(UTC),
    "text": "text",
    "jsonb": Jsonb({}),
    "inet": "192.0.2.1",
    "bigint": 1,
}


@pytest.fixture
def owner(server, template):
    """Connect as the owner of a table that all tests share: what this one does to it is rolled back."""
    with psycopg.connect(server.conninfo(template), row_factory=dict_row) as connection:
        yield connection
        connection.rollback()


@pytest.fixture
def writer(server, template):
    """Connect to the same table as its writer."""
    with psycopg.connect(server.conninfo(template, WRITER)) as connection:
        yield connection
        connection.rollback()


def init(conninfo, **options):
    """Run init on a connection of its own."""
    with psycopg.connect(conninfo) as connection:
        return schema.init(connection, **options)


def run_script(conninfo, **options):
    """Run the script as one text, as a migration tool would."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(schema.script(writer=WRITER, **options))


def add_role(server, name, attributes=""):
    """Make a role unless another test did."""
    with psycopg.connect(server.conninfo(), autocommit=True) as connection:
        if connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [name]).fetchone() is None:
            connection.execute(sql.SQL(f"CREATE ROLE {{}} LOGIN {attributes}").format(sql.Identifier(name)))


def drop_view(database):
    """Make the table one of the time before there was a view."""
    database.execute("DROP VIEW audit_timeline")


def catalog(database):
    """Return everything that the catalogs say about the public schema."""
    return database.rows(CATALOG)


def partition_of(database, occurred_at):
    """Insert an event of that time as the writer and return the partition it went to."""
    action = f"test.{uuid4().hex}"
    with psycopg.connect(database.writer) as connection:
        connection.execute("INSERT INTO audit_log (action, occurred_at) VALUES (%s, %s)", [action, occurred_at])
    (row,) = database.rows("SELECT tableoid::regclass::text AS partition FROM audit_log WHERE action = %s", action)
    return row["partition"]


def months_after(month, count):
    """Return the first of the month that lies that many months later."""
    years, index = divmod(month.month - 1 + count, 12)
    return month.replace(year=month.year + years, month=index + 1)


def this_month():
    """Return the first moment of the current month, by UTC."""
    return datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


class TestColumns:
    def test_each_field_has_its_column(self, owner):
        """The table and AuditEvent name the same fields, so that neither can drift."""
        rows = owner.execute("SELECT * FROM information_schema.columns WHERE table_name = 'audit_log'")
        assert {row["column_name"] for row in rows} == set(EVENT_FIELDS)

    def test_columns_have_the_types_and_defaults_of_the_design(self, owner):
        """Another program may insert an action alone: every other column is nullable or has a default."""
        rows = owner.execute(
            "SELECT attname, format_type(atttypid, atttypmod) AS type, attnotnull, pg_get_expr(adbin, adrelid) AS value"
            " FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum"
            " WHERE attrelid = 'audit_log'::regclass AND attnum > 0 ORDER BY attnum"
        )
        assert {row["attname"]: (row["type"], row["attnotnull"], row["value"]) for row in rows} == COLUMNS

    def test_every_column_says_what_it_holds(self, owner):
        """A reader of the catalog needs no manual."""
        rows = owner.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = 'audit_log'::regclass AND attnum > 0"
            " AND col_description(attrelid, attnum) IS NULL"
        )
        assert rows.fetchall() == []

    def test_the_writer_can_read_the_version(self, writer):
        """The version is in the table's comment, which every role may read."""
        (comment,) = writer.execute("SELECT obj_description('audit_log'::regclass, 'pg_class')").fetchone()
        assert comment.startswith(f"pglog_audit schema {schema.VERSION}, monthly partitions: ")

    def test_the_key_is_the_retry_key(self, owner):
        """The primary key holds id first, and the partition key because PostgreSQL wants it there."""
        (row,) = owner.execute(
            "SELECT pg_get_constraintdef(oid) AS key FROM pg_constraint"
            " WHERE conrelid = 'audit_log'::regclass AND contype = 'p'"
        )
        assert row["key"] == "PRIMARY KEY (id, occurred_at)"

    def test_id_types_are_those_asked_for(self, empty_database):
        """A service with bigint users and text events gets columns for them."""
        init(empty_database.owner, id_types={"user_id": "bigint", "event_id": "text", "target_id": "integer"})
        (row,) = empty_database.rows(
            "SELECT pg_typeof(user_id)::text AS user_id, pg_typeof(event_id)::text AS event_id,"
            " pg_typeof(target_id)::text AS target_id, pg_typeof(tenant_id)::text AS tenant_id"
            " FROM (SELECT) AS one LEFT JOIN audit_log ON true"
        )
        assert row == {"user_id": "bigint", "event_id": "text", "target_id": "integer", "tenant_id": "uuid"}


class TestInit:
    def test_says_that_it_made_the_table(self, empty_database):
        """The result names table and view with their schema."""
        assert init(empty_database.owner, writer=WRITER) == schema.InitResult(
            "public.audit_log",
            True,
            "postgres",
            writer=WRITER,
            view="public.audit_timeline",
            writer_privileges=frozenset({"INSERT"}),
            limits_writer=True,
        )

    def test_a_second_time_changes_nothing(self, database):
        """A deployment may run init each time."""
        before = catalog(database)
        result = init(database.owner, writer=WRITER)
        assert (result.created, catalog(database)) == (False, before)

    def test_a_second_time_adds_the_writer(self, empty_database):
        """A table made without a writer gets one later."""
        init(empty_database.owner)
        with psycopg.connect(empty_database.writer) as writer, pytest.raises(InsufficientPrivilege):
            writer.execute("INSERT INTO audit_log (action) VALUES ('branding.update')")
        init(empty_database.owner, writer=WRITER)
        assert partition_of(empty_database, datetime.now(UTC))

    def test_a_second_time_grants_columns_added_since(self, database):
        """A column of the user's own is the writer's to fill after the next init."""
        database.execute("ALTER TABLE audit_log ADD COLUMN cost_center text")
        init(database.owner, writer=WRITER)
        with psycopg.connect(database.writer) as writer:
            writer.execute("INSERT INTO audit_log (action, cost_center) VALUES ('branding.update', 'x')")
        assert database.rows()[0]["cost_center"] == "x"

    def test_eight_at_once_make_one_table(self, empty_database):
        """All replicas of a service may run init when they start."""
        with ThreadPoolExecutor(8) as threads:
            results = list(threads.map(lambda _: init(empty_database.owner, writer=WRITER), range(8)))
        assert [result.created for result in results].count(True) == 1

    def test_the_script_makes_the_same(self, empty_database, database):
        """`pglog-audit sql` and init leave the same catalogs."""
        run_script(empty_database.owner)
        assert catalog(empty_database) == catalog(database)

    def test_the_script_run_again_changes_nothing(self, database):
        """A script that meets the table fails as a whole."""
        before = catalog(database)
        with pytest.raises(psycopg.errors.DuplicateTable):
            run_script(database.owner)
        assert catalog(database) == before

    def test_what_retention_kept_of_a_dropped_table_is_taken_over(self, database):
        """Who drops the table may make it again."""
        before = catalog(database)
        database.execute("INSERT INTO audit_log_retained VALUES ('old', '2001-01-01', '2001-02-01', 7)")
        database.execute("DROP TABLE audit_log CASCADE")
        assert init(database.owner, writer=WRITER).created
        assert catalog(database) == before
        assert [row["events"] for row in database.rows("SELECT events FROM audit_log_retained")] == [7]

    def test_the_callers_transaction_is_the_callers(self, empty_database):
        """A migration tool that rolls back takes the table back too."""
        with psycopg.connect(empty_database.owner) as connection:
            connection.execute("SELECT 1")
            assert schema.init(connection).created
            connection.rollback()
        assert empty_database.rows("SELECT to_regclass('audit_log') AS found") == [{"found": None}]

    def test_a_plain_role_can_own_the_table(self, empty_database, server):
        """Neither superuser nor CREATEROLE is needed: the right to create in the schema is enough."""
        add_role(server, PLAIN_OWNER, "NOSUPERUSER")
        empty_database.execute(f"GRANT ALL ON SCHEMA public TO {PLAIN_OWNER}")
        result = init(server.conninfo(empty_database.name, PLAIN_OWNER), writer=WRITER)
        assert result.created
        assert partition_of(empty_database, datetime.now(UTC))

    @pytest.mark.parametrize(
        "table",
        [
            "audit.log",
            "my schema.Audit-Log",
            "user",
            "a" * 63,
            "é" * 31,
            "it's",
            "a$partitions$b",
            "a{b}",
            "back\\slash",
        ],
    )
    def test_any_legal_name_works(self, empty_database, table):
        """Quoting is ours to do, and derived names stay within PostgreSQL's 63 bytes."""
        name = sql.Identifier(*table.split(".")).as_string()
        if "." in table:
            empty_database.execute(f"CREATE SCHEMA {name.partition('.')[0]}")
        init(empty_database.owner, table=table, writer=WRITER)
        assert not init(empty_database.owner, table=table, writer=WRITER).created
        with psycopg.connect(empty_database.writer) as writer:
            writer.execute(f"INSERT INTO {name} (action) VALUES ('branding.update')")
        (row,) = empty_database.rows(f"SELECT tableoid::regclass::text AS partition FROM {name}")
        assert f"{this_month():_%Y_%m}" in row["partition"]

    def test_long_names_that_begin_alike_get_months_of_their_own(self, empty_database):
        """Cutting names to 63 bytes must not make two tables share one."""
        assert init(empty_database.owner, table="a" * 62 + "b").created
        assert init(empty_database.owner, table="a" * 62 + "c").created


class TestRefusals:
    def test_a_missing_writer_is_named_with_its_statement(self, empty_database):
        """The role must exist: the error shows what makes it, and no table is left behind."""
        with pytest.raises(SchemaError, match='CREATE ROLE "No One" LOGIN'):
            init(empty_database.owner, writer="No One")
        assert empty_database.rows("SELECT to_regclass('audit_log') AS found") == [{"found": None}]

    def test_a_missing_schema_is_named_with_its_statement(self, empty_database):
        """The schema must exist: the error shows what makes it."""
        with pytest.raises(SchemaError, match='CREATE SCHEMA "No Where"'):
            init(empty_database.owner, table="No Where.audit_log")

    @pytest.mark.parametrize("path", ["''", "nowhere"])
    def test_a_search_path_without_a_schema_is_told(self, empty_database, path):
        """The error names the option that gives one, and with that the table is made."""
        conninfo = make_conninfo(empty_database.owner, options=f"-c search_path={path}")
        text = (
            "search_path names no schema that exists and that this role may use: give --table public.audit_log, or "
            "set search_path"
        )
        with pytest.raises(SchemaError, match=f"^{text}$"):
            init(conninfo)
        assert init(conninfo, table="public.audit_log").created

    def test_a_writer_that_no_grant_binds_is_refused(self, empty_database):
        """An owner or superuser as writer would make the grants a show."""
        role = empty_database.rows("SELECT current_user AS name")[0]["name"]
        with pytest.raises(SchemaError, match="no grant binds it"):
            init(empty_database.owner, writer=role)

    def test_a_foreign_table_is_refused(self, empty_database):
        """A table that somebody else made is not taken for ours."""
        empty_database.execute("CREATE TABLE audit_log (action text)")
        with pytest.raises(SchemaError, match=r"not made by pglog_audit.*--existing.*--table"):
            init(empty_database.owner)

    def test_a_newer_table_is_refused(self, database):
        """A table that is two versions ahead is left to the later version."""
        database.execute(f"COMMENT ON TABLE audit_log IS 'pglog_audit schema {schema.VERSION + 2}: later'")
        with pytest.raises(SchemaError, match="upgrade pglog-audit"):
            init(database.owner)

    def test_an_older_table_is_refused(self, database):
        """A table that is two versions behind is not taken for today's."""
        database.execute(f"COMMENT ON TABLE audit_log IS 'pglog_audit schema {schema.VERSION - 2}: earlier'")
        with pytest.raises(SchemaError, match=rf"older than {schema.VERSION}: run pglog-audit upgrade"):
            init(database.owner)

    @pytest.mark.parametrize("version", [schema.VERSION - 1, schema.VERSION + 1])
    def test_one_version_apart_is_taken(self, database, version):
        """While a deployment is under way, its old and its new instances run init with either table."""
        database.execute(f"COMMENT ON TABLE audit_log IS 'pglog_audit schema {version}: another'")
        assert init(database.owner, writer=WRITER).version == version

    def test_other_partitions_than_the_tables_are_refused(self, database):
        """What lies in months is not taken for days."""
        with pytest.raises(SchemaError, match=r"partitions of public\.audit_log are monthly: leave out the option"):
            init(database.owner, partitions="daily")

    def test_other_id_types_than_the_tables_are_refused(self, database):
        """A column's type is never changed behind its owner's back."""
        with pytest.raises(SchemaError, match=r"user_id of public\.audit_log is uuid, not bigint"):
            init(database.owner, id_types={"user_id": "bigint"})

    def test_id_types_need_not_be_repeated(self, empty_database):
        """A second init asks for nothing and takes the table as it is."""
        init(empty_database.owner, id_types={"user_id": "bigint"})
        assert not init(empty_database.owner, writer=WRITER).created

    def test_a_role_that_may_not_grant_is_told_so(self, database, server):
        """GRANT without the right to is a mere warning of the server's; here it is an error."""
        add_role(server, READER)
        add_role(server, PLAIN_OWNER)
        database.execute(f"GRANT SELECT ON audit_log TO {PLAIN_OWNER}")
        with pytest.raises(InsufficientPrivilege, match="may not grant INSERT"):
            init(server.conninfo(database.name, PLAIN_OWNER), writer=READER)


class TestWriter:
    def test_may_set_every_column_but_recorded_at(self, database):
        """The writer sets what the client sends; the time of recording is the server's."""
        names = [name for name in COLUMNS if name != "recorded_at"]
        statement = sql.SQL("INSERT INTO audit_log ({}) VALUES ({})").format(
            sql.SQL(", ").join(map(sql.Identifier, names)), sql.SQL(", ").join(sql.Placeholder() * len(names))
        )
        with psycopg.connect(database.writer) as writer:
            writer.execute(statement, [VALUES[COLUMNS[name][0]] for name in names])
        (row,) = database.rows()
        assert None not in row.values()

    @pytest.mark.parametrize(
        "statement",
        [
            "SELECT action FROM audit_log",
            "SELECT FROM audit_log",
            "UPDATE audit_log SET action = 'x.y'",
            "DELETE FROM audit_log",
            "TRUNCATE audit_log",
            "INSERT INTO audit_log (action, recorded_at) VALUES ('x.y', now())",
            "INSERT INTO audit_log (action) VALUES ('x.y') RETURNING id",
            "INSERT INTO audit_log_default (action, occurred_at) VALUES ('x.y', '1999-01-01')",
            "SELECT FROM audit_log_default",
            "TRUNCATE audit_log_default",
            "ALTER TABLE audit_log DISABLE TRIGGER ALL",
            "DROP TABLE audit_log",
            "SET session_replication_role = replica",
        ],
    )
    def test_may_do_nothing_else(self, writer, statement):
        """Whoever takes over the application cannot read, change or forge the trail."""
        with pytest.raises(InsufficientPrivilege):
            writer.execute(statement)

    def test_gets_nothing_from_default_privileges(self, empty_database):
        """ALTER DEFAULT PRIVILEGES, common for application roles, gives away neither table, partitions nor view."""
        empty_database.execute(f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO {WRITER}, PUBLIC")
        init(empty_database.owner, writer=WRITER)
        assert (
            empty_database.rows(
                "SELECT oid::regclass FROM pg_class, aclexplode(relacl)"
                " WHERE relkind IN ('r', 'p', 'v') AND relnamespace = 'public'::regnamespace AND grantee <> relowner"
            )
            == []
        )

    def test_sends_a_row_twice_and_stores_it_once(self, database):
        """A replay needs INSERT alone: the primary key swallows the second row."""
        for _ in range(2):
            with psycopg.connect(database.writer) as writer:
                writer.execute(
                    "INSERT INTO audit_log (id, occurred_at, action) VALUES (%s, %s, 'x.y') ON CONFLICT DO NOTHING",
                    [VALUES["uuid"], VALUES["timestamp with time zone"]],
                )
        assert len(database.rows()) == 1


class TestReader:
    @pytest.fixture
    def reader(self, database, server):
        """Connect as a role that init lets read."""
        add_role(server, READER)
        init(database.owner, reader=READER)
        with psycopg.connect(server.conninfo(database.name, READER), row_factory=dict_row) as connection:
            yield connection

    @pytest.mark.parametrize("statement", LOOKING)
    def test_may_read_table_and_view(self, database, reader, statement):
        """Whoever looks things up may do it in SQL and with the command."""
        partition_of(database, datetime.now(UTC))
        assert len(reader.execute(statement).fetchall()) == 1

    @pytest.mark.parametrize(
        "statement",
        [
            "INSERT INTO audit_log (action) VALUES ('x.y')",
            "INSERT INTO audit_timeline (action) VALUES ('x.y')",
            "UPDATE audit_log SET action = 'x.y'",
            "UPDATE audit_timeline SET action = 'x.y'",
            "DELETE FROM audit_timeline",
            "TRUNCATE audit_log",
            "SELECT FROM audit_log_default",
            "DROP VIEW audit_timeline",
            "CREATE TABLE other ()",
        ],
    )
    def test_may_do_nothing_else(self, reader, statement):
        """Reading is all that is given."""
        with pytest.raises(InsufficientPrivilege):
            reader.execute(statement)

    def test_a_second_time_changes_nothing(self, database, reader):
        """A deployment may run init each time."""
        before = catalog(database)
        assert init(database.owner, reader=READER).reader == READER
        assert catalog(database) == before

    def test_the_script_grants_the_same(self, empty_database, database, reader):
        """`pglog-audit sql` and init leave the same privileges."""
        run_script(empty_database.owner, reader=READER)
        assert catalog(empty_database) == catalog(database)

    def test_gets_into_the_schema(self, empty_database, server):
        """USAGE on a schema of the audit log's own is part of it."""
        add_role(server, READER)
        empty_database.execute("CREATE SCHEMA audit")
        assert init(empty_database.owner, table="audit.log", reader=READER).view == "audit.log_timeline"
        with psycopg.connect(server.conninfo(empty_database.name, READER)) as reader:
            reader.execute("SELECT FROM audit.log, audit.log_timeline")

    def test_of_another_programs_table_may_read_it(self, empty_database, server):
        """There is no view on it, and a relation that is called like one is left alone."""
        add_role(server, READER)
        empty_database.execute("CREATE TABLE audit_log (action text); CREATE VIEW audit_timeline AS SELECT 1")
        assert init(empty_database.owner, existing=True, reader=READER).view is None
        with psycopg.connect(server.conninfo(empty_database.name, READER)) as reader:
            reader.execute(LOOKING[0])
            with pytest.raises(InsufficientPrivilege):
                reader.execute(LOOKING[1])

    @pytest.mark.parametrize("writer", [None, WRITER])
    def test_may_be_the_writer(self, database, writer):
        """An application that shows its own timeline has one role for both."""
        result = init(database.owner, writer=writer, reader=WRITER)
        assert result.reader_privileges == {"INSERT", "SELECT"}
        with psycopg.connect(database.writer) as connection:
            connection.execute("INSERT INTO audit_log (action) VALUES ('x.y')")
            assert connection.execute("SELECT action FROM audit_timeline").fetchall() == [("x.y",)]

    def test_the_script_grants_one_role_both(self, empty_database, database):
        """`pglog-audit sql` with one role for both and init leave the same privileges."""
        init(database.owner, reader=WRITER)
        run_script(empty_database.owner, reader=WRITER)
        assert catalog(empty_database) == catalog(database)

    def test_who_owns_the_table_is_refused(self, database):
        """No grant binds an owner or superuser."""
        role = database.rows("SELECT current_user AS name")[0]["name"]
        with pytest.raises(SchemaError, match="no grant binds it: give --reader a role of its own"):
            init(database.owner, reader=role)

    def test_who_is_missing_is_named_with_the_statement(self, database):
        """The role must exist: the error shows what makes it."""
        with pytest.raises(SchemaError, match='CREATE ROLE "No One" LOGIN'):
            init(database.owner, reader="No One")

    def test_cannot_be_named_by_a_role_that_may_not_grant(self, database, server):
        """GRANT without the right to is a mere warning of the server's; here it is an error."""
        add_role(server, READER)
        add_role(server, PLAIN_OWNER)
        database.execute(f"GRANT SELECT ON audit_log, audit_timeline TO {PLAIN_OWNER}")
        with pytest.raises(InsufficientPrivilege, match="may not grant SELECT"):
            init(server.conninfo(database.name, PLAIN_OWNER), reader=READER)


class TestView:
    COLUMNS = (
        "occurred_at who action entity_type target outcome message changes metadata event_id user_id target_id "
        "tenant_id impersonator_id request_id source_ip user_agent trace_id service id"
    )

    def test_has_the_columns_in_reading_order(self, owner):
        """When, who, what and how it went come first; ids for joining come last."""
        assert [column.name for column in owner.execute("TABLE audit_timeline").description] == self.COLUMNS.split()

    def test_says_what_it_and_each_column_holds(self, owner):
        """A reader of the catalog needs no manual."""
        rows = owner.execute(
            "SELECT attname, col_description(attrelid, attnum) AS comment FROM pg_attribute"
            " WHERE attrelid = 'audit_timeline'::regclass UNION ALL"
            " SELECT '', obj_description('audit_timeline'::regclass, 'pg_class')"
        ).fetchall()
        assert len(rows) == len(self.COLUMNS.split()) + 1
        assert all(row["comment"] for row in rows)

    def test_names_people_and_things_by_label_or_id(self, owner):
        """Who and target are never empty where anything is known."""
        (user, target), labels = (uuid4(), uuid4()), ("Ada", "Logo")
        insert = "INSERT INTO audit_log (action, user_id, target_id, user_label, target_label) VALUES ('x.y', {})"
        owner.execute(insert.format("%s, %s, %s, %s"), [user, target, *labels])
        owner.execute(insert.format("%s, %s, null, null"), [user, target])
        owner.execute(insert.format("null, null, null, null"))
        rows = owner.execute("SELECT who, target, user_id FROM audit_timeline ORDER BY occurred_at").fetchall()
        assert [(row["who"], row["target"]) for row in rows] == [labels, (str(user), str(target)), (None, None)]
        assert [row["user_id"] for row in rows] == [user, user, None]

    def test_leaves_out_what_the_trail_says_about_itself(self, owner):
        """Who did what is the question."""
        owner.execute("INSERT INTO audit_log (action) VALUES ('audit.start'), ('auditor.invite')")
        rows = owner.execute("SELECT action FROM audit_timeline").fetchall()
        assert [row["action"] for row in rows] == ["auditor.invite"]

    def test_fits_ids_of_other_types(self, empty_database):
        """Who and target are text whatever the ids are."""
        init(empty_database.owner, id_types={"user_id": "bigint", "target_id": "text", "event_id": "integer"})
        empty_database.execute("INSERT INTO audit_log (action, user_id, target_id) VALUES ('x.y', 7, 'a-1')")
        (row,) = empty_database.rows("SELECT who, target, user_id FROM audit_timeline")
        assert row == {"who": "7", "target": "a-1", "user_id": 7}

    def test_is_made_for_a_table_that_has_none(self, database):
        """A table of an earlier init gets its view with the next one."""
        before = catalog(database)
        drop_view(database)
        result = init(database.owner)
        assert (result.created, result.view) == (False, "public.audit_timeline")
        assert catalog(database) == before

    def test_of_your_own_stays_as_it_is(self, database):
        """A view of that name on the table is not made anew: columns of your own can be in it."""
        drop_view(database)
        database.execute("CREATE VIEW audit_timeline AS SELECT action FROM audit_log")
        before = catalog(database)
        init(database.owner)
        assert catalog(database) == before

    def test_is_not_made_where_a_column_is_gone(self, database):
        """A table whose owner dropped a column still takes grants, and says what it lacks."""
        database.execute("ALTER TABLE audit_log DROP COLUMN user_label CASCADE")
        result = init(database.owner, writer=WRITER)
        assert (result.view, result.missing) == (None, ("user_label",))

    @pytest.mark.parametrize(
        "other",
        [
            "CREATE TABLE audit_timeline (action text)",
            "CREATE VIEW audit_timeline AS SELECT 'x.y' AS action",
            "CREATE SEQUENCE audit_timeline",
        ],
    )
    def test_does_not_replace_what_is_not_its_own(self, database, other):
        """Another relation of that name is told, and stays."""
        drop_view(database)
        database.execute(other)
        with pytest.raises(SchemaError, match=r"no view on public\.audit_log.*rename it, or give another --table"):
            init(database.owner)

    def test_takes_no_name_from_a_table_beside_it(self, database):
        """Where two tables would have views of one name, the second is told to take another."""
        with pytest.raises(SchemaError, match=r"no view on public\.audit,"):
            init(database.owner, table="audit")
        assert database.rows("SELECT to_regclass('audit') AS found") == [{"found": None}]

    def test_lies_beside_its_table(self, database):
        """Also where the search path would make new relations elsewhere."""
        drop_view(database)
        database.execute("CREATE SCHEMA first")
        options = "-c search_path=first,public"
        assert init(make_conninfo(database.owner, options=options)).view == "public.audit_timeline"

    def test_has_the_tables_owner(self, empty_database, server):
        """A superuser who makes it later does not keep it, and default privileges do not give it away."""
        add_role(server, PLAIN_OWNER)
        empty_database.execute(f"GRANT ALL ON SCHEMA public TO {PLAIN_OWNER}")
        init(server.conninfo(empty_database.name, PLAIN_OWNER))
        drop_view(empty_database)
        empty_database.execute(f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO {WRITER}, PUBLIC")
        init(empty_database.owner)
        rows = empty_database.rows(
            "SELECT relowner::regrole::text AS owner, ARRAY(SELECT DISTINCT grantee::regrole::text"
            " FROM aclexplode(relacl)) AS grantees FROM pg_class WHERE relname = 'audit_timeline'"
        )
        assert rows == [{"owner": PLAIN_OWNER, "grantees": [PLAIN_OWNER]}]

    def test_keeps_to_the_readers_own_row_level_security(self, database, server):
        """From PostgreSQL 15 on a policy on the table holds for who reads the view; before, it is the owner's."""
        add_role(server, READER)
        init(database.owner, reader=READER)
        database.execute("INSERT INTO audit_log (action, service) VALUES ('x.y', 'shop'), ('x.z', 'desk')")
        database.execute("ALTER TABLE audit_log ENABLE ROW LEVEL SECURITY")
        database.execute("CREATE POLICY shop ON audit_log FOR SELECT USING (service = 'shop')")
        with psycopg.connect(server.conninfo(database.name, READER)) as reader:
            seen = {row[0] for row in reader.execute("SELECT service FROM audit_timeline")}
            assert seen == ({"shop"} if reader.info.server_version >= 150000 else {"shop", "desk"})


class TestGuards:
    @pytest.mark.parametrize("role", ["origin", "replica"])
    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE audit_log SET action = 'x.y'",
            "DELETE FROM audit_log",
            "TRUNCATE audit_log",
            "UPDATE {partition} SET action = 'x.y'",
            "DELETE FROM {partition}",
            "TRUNCATE {partition}",
            "INSERT INTO audit_log SELECT * FROM audit_log ON CONFLICT (id, occurred_at) DO UPDATE SET action = 'x.y'",
        ],
    )
    def test_hold_for_a_superuser_too(self, owner, statement, role):
        """Rows stay as they were written, whoever asks and whatever session_replication_role says."""
        owner.execute("INSERT INTO audit_log (action) VALUES ('branding.update')")
        owner.execute(f"SET session_replication_role = {role}")
        with pytest.raises(InsufficientPrivilege, match="is append-only"):
            owner.execute(statement.format(partition=f"audit_log_{this_month():%Y_%m}"))

    def test_refuse_truncate_on_every_partition(self, owner):
        """TRUNCATE triggers are not inherited: each partition has its own."""
        partitions = owner.execute("SELECT relid::text FROM pg_partition_tree('audit_log') WHERE isleaf").fetchall()
        assert len(partitions) == 14
        for partition in partitions:
            with pytest.raises(InsufficientPrivilege, match="TRUNCATE is refused"), owner.transaction():
                owner.execute("TRUNCATE {relid}".format(**partition))


class TestMonths:
    @pytest.mark.parametrize("count", [0, 1, 12])
    def test_a_month_ahead_has_its_partition(self, database, count):
        """The current month and the next twelve are there from the start."""
        month = months_after(this_month(), count)
        assert partition_of(database, month) == f"audit_log_{month:%Y_%m}"

    @pytest.mark.parametrize("count", [-1, 13])
    def test_any_other_time_goes_to_the_default_partition(self, database, count):
        """What is backfilled or late is stored all the same."""
        assert partition_of(database, months_after(this_month(), count)) == "audit_log_default"

    @pytest.mark.parametrize(
        "options", ["-c TimeZone=Pacific/Kiritimati", "-c TimeZone=America/Los_Angeles -c DateStyle=German"]
    )
    def test_months_are_those_of_utc(self, empty_database, options):
        """The session that makes the table does not shift the months by its time zone."""
        init(make_conninfo(empty_database.owner, options=options), writer=WRITER)
        second = months_after(this_month(), 1)
        assert partition_of(empty_database, second) == f"audit_log_{second:%Y_%m}"
        assert partition_of(empty_database, second - timedelta(microseconds=1)) == f"audit_log_{this_month():%Y_%m}"


class TestIndexes:
    @pytest.mark.parametrize(
        "condition",
        [
            "true",
            "event_id = %(id)s",
            "user_id = %(id)s",
            "target_id = %(id)s",
            "tenant_id = %(id)s",
            "entity_type = 'logo'",
            "action = 'logo.add'",
            "outcome = 'denied'",
        ],
    )
    def test_answer_newest_first(self, owner, condition):
        """A page of a month is read off an index, for each question and for none; events of one moment are sorted."""
        owner.execute("SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off")
        plan = owner.execute(
            "EXPLAIN (COSTS OFF) SELECT * FROM audit_log"
            " WHERE occurred_at >= %(start)s AND occurred_at < %(end)s AND (occurred_at, id) < (%(end)s, %(id)s)"
            f" AND {condition} ORDER BY occurred_at DESC, id DESC LIMIT 50",
            {"id": uuid4(), "start": this_month(), "end": months_after(this_month(), 1)},
        )
        lines = "\n".join(row["QUERY PLAN"] for row in plan)
        assert "Index Scan Backward" in lines
        assert lines.count("Sort Key") == lines.count("Presorted Key") <= 1


class TestExisting:
    IDENTITY = (
        "CREATE TABLE audit_log (id bigint GENERATED ALWAYS AS IDENTITY, created_at timestamptz DEFAULT now(),"
        " user_id uuid, action varchar(80) NOT NULL, metadata jsonb,"
        " upper_action text GENERATED ALWAYS AS (upper(action)) STORED)"
    )
    SERIAL = (
        "CREATE TABLE audit_log (id serial PRIMARY KEY, action text NOT NULL, recorded_at timestamptz DEFAULT now())"
    )

    def test_with_an_identity_column_takes_rows(self, empty_database):
        """The writer gets the columns that a client may fill, and the rest is left out."""
        empty_database.execute(self.IDENTITY)
        result = init(empty_database.owner, existing=True, writer=WRITER)
        with psycopg.connect(empty_database.writer) as writer:
            writer.execute(
                "INSERT INTO audit_log (action, user_id, metadata, created_at) VALUES ('x.y', null, '{}', now())"
            )
        assert not result.created
        assert [row["upper_action"] for row in empty_database.rows("SELECT * FROM audit_log")] == ["X.Y"]

    def test_with_a_serial_column_takes_rows(self, empty_database):
        """The writer may draw from the sequence behind the key's default."""
        empty_database.execute(self.SERIAL)
        init(empty_database.owner, existing=True, writer=WRITER)
        with psycopg.connect(empty_database.writer) as writer:
            writer.execute("INSERT INTO audit_log (action) VALUES ('x.y')")
        assert [row["id"] for row in empty_database.rows("SELECT * FROM audit_log")] == [1]

    def test_leaves_recorded_at_to_the_server(self, empty_database):
        """A recorded_at of theirs cannot be forged either."""
        empty_database.execute(self.SERIAL)
        init(empty_database.owner, existing=True, writer=WRITER)
        with psycopg.connect(empty_database.writer) as writer, pytest.raises(InsufficientPrivilege):
            writer.execute("INSERT INTO audit_log (action, recorded_at) VALUES ('x.y', now())")

    def test_says_which_fields_have_no_column(self, empty_database):
        """The result names what the handler will leave out."""
        empty_database.execute(self.IDENTITY)
        missing = init(empty_database.owner, existing=True).missing
        assert set(missing) == set(EVENT_FIELDS) - {"id", "user_id", "action", "metadata"}

    def test_changes_nothing_without_a_writer(self, empty_database):
        """Looking at a table does not touch it."""
        empty_database.execute(self.IDENTITY)
        before = catalog(empty_database)
        init(empty_database.owner, existing=True)
        assert catalog(empty_database) == before

    def test_must_be_there(self, empty_database):
        """Nothing is made under --existing."""
        with pytest.raises(SchemaError, match="leave out --existing"):
            init(empty_database.owner, existing=True)

    @pytest.mark.parametrize("column", ["verb text", "action integer"])
    def test_must_have_an_action_of_text(self, empty_database, column):
        """Without an action there is no event to store."""
        empty_database.execute(f"CREATE TABLE audit_log ({column})")
        with pytest.raises(SchemaError, match="no column action of type text"):
            init(empty_database.owner, existing=True)
