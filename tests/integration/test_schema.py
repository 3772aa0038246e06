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
from pglog_audit.errors import SchemaError
from pglog_audit.event import EVENT_FIELDS

WRITER = "pglog_writer"
READER = "pglog_reader"
PLAIN_OWNER = "pglog_plain_owner"

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


def run_script(conninfo):
    """Run the script as one text, as a migration tool would."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(schema.script(writer=WRITER))


def add_role(server, name, attributes=""):
    """Make a role unless another test did."""
    with psycopg.connect(server.conninfo(), autocommit=True) as connection:
        if connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [name]).fetchone() is None:
            connection.execute(sql.SQL(f"CREATE ROLE {{}} LOGIN {attributes}").format(sql.Identifier(name)))


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
        assert comment.startswith(f"pglog_audit schema {schema.VERSION}:")

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
        """The result names the table with its schema."""
        assert init(empty_database.owner, writer=WRITER) == schema.InitResult("public.audit_log", True, WRITER)

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
        """A later version's table is left to the later version."""
        database.execute(f"COMMENT ON TABLE audit_log IS 'pglog_audit schema {schema.VERSION + 1}: later'")
        with pytest.raises(SchemaError, match="upgrade pglog-audit"):
            init(database.owner)

    def test_an_older_table_is_refused(self, database):
        """An earlier version's table is not taken for today's."""
        database.execute("COMMENT ON TABLE audit_log IS 'pglog_audit schema 0: earlier'")
        with pytest.raises(SchemaError, match=r"older than 1.*--existing.*--table"):
            init(database.owner)

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
        """ALTER DEFAULT PRIVILEGES, common for application roles, gives away neither table nor partitions."""
        empty_database.execute(f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO {WRITER}, PUBLIC")
        init(empty_database.owner, writer=WRITER)
        assert (
            empty_database.rows(
                "SELECT oid::regclass FROM pg_class, aclexplode(relacl)"
                " WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace AND grantee <> relowner"
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
            "request_id = %(id)s::text",
            "entity_type = 'logo'",
            "action = 'logo.add'",
            "outcome = 'denied'",
        ],
    )
    def test_answer_newest_first_without_sorting(self, owner, condition):
        """A page of a month is read off an index, for each question and for none."""
        owner.execute("SET enable_seqscan = off; SET enable_bitmapscan = off")
        plan = owner.execute(
            "EXPLAIN (COSTS OFF) SELECT * FROM audit_log"
            " WHERE occurred_at >= %(start)s AND occurred_at < %(end)s AND (occurred_at, id) < (%(end)s, %(id)s)"
            f" AND {condition} ORDER BY occurred_at DESC, id DESC LIMIT 50",
            {"id": uuid4(), "start": this_month(), "end": months_after(this_month(), 1)},
        )
        lines = "\n".join(row["QUERY PLAN"] for row in plan)
        assert "Index Scan Backward" in lines
        assert "Sort" not in lines


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
