"""The database half of doctor: each fault is brought about in a real database, and turns its own line wrong."""

import shlex
import time
from types import SimpleNamespace

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool

from pglog_audit import schema
from pglog_audit.doctor import Target, examine, server
from pglog_audit.maintenance import maintain
from pglog_audit.options import read_options
from pglog_audit.upgrade import upgrade

WRITER = "pglog_writer"
NARROW = (
    "CREATE TABLE activity (id bigserial PRIMARY KEY, user_id bigint, action varchar(80) NOT NULL, metadata jsonb,"
    " created_at timestamptz DEFAULT now())"
)
NEXT_MONTH = "to_char(now() AT TIME ZONE 'UTC' + interval '1 month', 'YYYY_MM')"
DROP = "DO $$BEGIN EXECUTE 'DROP TABLE audit_log_' || {}; END$$".format
DETACH = "DO $$BEGIN EXECUTE 'ALTER TABLE audit_log DETACH PARTITION audit_log_' || {}; END$$".format
BEFORE_INSERT = (
    "CREATE FUNCTION pass() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
    "CREATE TRIGGER enrich BEFORE INSERT ON audit_log FOR EACH ROW EXECUTE FUNCTION pass()"
)
VIEW = (
    "DO $$BEGIN EXECUTE 'CREATE OR REPLACE VIEW audit_timeline WITH (security_invoker) AS '"
    " || rtrim(pg_get_viewdef('audit_timeline'), ';') || ' AND action <> ''money.stolen'''; END$$"
)
USERS = "CREATE TABLE users (id uuid PRIMARY KEY);"

FAULTS = {
    "DROP TRIGGER refuse_truncate ON audit_log_default": ("guards", "on public.audit_log_default is missing"),
    "DROP TRIGGER refuse_change ON audit_log": ("guards", "refuse_change on public.audit_log is missing"),
    "ALTER TABLE audit_log_default DISABLE TRIGGER refuse_change": ("guards", "is not ENABLE ALWAYS"),
    "ALTER TABLE audit_log ENABLE TRIGGER refuse_truncate": ("guards", "is not ENABLE ALWAYS"),
    "CREATE OR REPLACE FUNCTION audit_log_append_only() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'": (
        "guards",
        "refuse_change on public.audit_log does not call the function of init, and on 14 partitions; 17 other triggers",
    ),
    "GRANT UPDATE ON audit_log TO pglog_writer": ("restraint", "pglog_writer has UPDATE on public.audit_log"),
    "GRANT UPDATE (action) ON audit_log TO pglog_writer": ("restraint", "pglog_writer has UPDATE on"),
    "GRANT DELETE, TRUNCATE, TRIGGER, REFERENCES ON audit_log TO pglog_writer": (
        "restraint",
        "DELETE, TRUNCATE, REFERENCES, TRIGGER",
    ),
    "GRANT INSERT (recorded_at) ON audit_log TO pglog_writer": ("restraint", "has INSERT (recorded_at)"),
    "GRANT SELECT ON audit_log TO PUBLIC": ("public", "PUBLIC has SELECT on public.audit_log"),
    "GRANT SELECT (action) ON audit_log TO PUBLIC": ("public", "PUBLIC has SELECT"),
    "GRANT SELECT ON audit_log_default TO pglog_writer": (
        "partition grants",
        "pglog_writer has SELECT on public.audit_log_default",
    ),
    "GRANT SELECT (action) ON audit_log_default TO PUBLIC": ("partition grants", "PUBLIC has SELECT"),
    "REVOKE INSERT ON audit_log FROM pglog_writer": ("grants", "lacks INSERT on id, occurred_at, action"),
    "REVOKE INSERT (message) ON audit_log FROM pglog_writer": ("grants", "pglog_writer lacks INSERT on message"),
    "REVOKE USAGE ON SCHEMA public FROM PUBLIC": ("grants", "pglog_writer lacks USAGE on schema public"),
    "ALTER TABLE audit_log ADD COLUMN amount int": ("grants", "pglog_writer lacks INSERT on amount"),
    "ALTER TABLE audit_log ADD COLUMN number serial; GRANT INSERT (number) ON audit_log TO pglog_writer": (
        "grants",
        "lacks USAGE on sequence public.audit_log_number_seq",
    ),
    "CREATE UNIQUE INDEX one ON audit_log (request_id, occurred_at)": ("unique indexes", "public.one keeps out rows"),
    "CREATE UNIQUE INDEX one ON audit_log_default (lower(action))": ("unique indexes", "public.one keeps out rows"),
    "ALTER TABLE audit_log_default ADD CONSTRAINT one EXCLUDE (request_id WITH =)": ("unique indexes", "public.one"),
    USERS + "ALTER TABLE audit_log ADD CONSTRAINT who FOREIGN KEY (user_id) REFERENCES users ON DELETE SET NULL": (
        "foreign keys",
        "who on public.audit_log: FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE SET NULL",
    ),
    BEFORE_INSERT: ("triggers", "TRIGGER enrich ON public.audit_log may change, drop or refuse rows"),
    BEFORE_INSERT.replace("BEFORE", "AFTER"): ("triggers", "TRIGGER enrich ON public.audit_log may change, drop or"),
    BEFORE_INSERT.replace("BEFORE", "AFTER").replace("FOR EACH ROW", ""): (
        "triggers",
        "TRIGGER enrich ON public.audit",
    ),
    "ALTER TABLE audit_log ADD CHECK (action <> 'money.stolen') NOT VALID": (
        "checks",
        "audit_log_action_check on public.audit_log: CHECK ((action <> 'money.stolen'::text)) NOT VALID",
    ),
    "ALTER TABLE audit_log_default ADD CONSTRAINT few CHECK (writer_seq < 9)": (
        "checks",
        "few on public.audit_log_def",
    ),
    VIEW: ("view", "public.audit_timeline is not as init made"),
    "GRANT UPDATE, DELETE, INSERT, SELECT ON audit_log TO pg_monitor": (
        "other grants",
        "pg_monitor has DELETE, INSERT, UPDATE on public.audit_log",
    ),
    "GRANT INSERT (action, recorded_at), UPDATE (action) ON audit_log TO pg_monitor": (
        "other grants",
        "pg_monitor has INSERT (recorded_at), UPDATE (action) on public.audit_log",
    ),
    "GRANT INSERT ON audit_log_retained TO PUBLIC": ("other grants", "PUBLIC has INSERT on public.audit_log_retained"),
    "DROP TABLE audit_log_retained": ("retained", "audit_log_retained, as init makes it, is gone"),
    "CREATE RULE keep AS ON UPDATE TO audit_log_default DO INSTEAD NOTHING": ("triggers", "RULE keep ON"),
    "INSERT INTO audit_log (action, occurred_at) VALUES ('a.b', '2099-01-01')": (
        "default rows",
        "1 in audit_log_default: their months have no partition",
    ),
    "INSERT INTO audit_log (action, occurred_at) SELECT 'a.b', '2099-01-01' FROM generate_series(1, 1001)": (
        "default rows",
        "more than 1000",
    ),
    "DROP TABLE audit_log_default": ("default rows", "there is no default partition"),
    DROP(NEXT_MONTH): ("months", "partitions for 0 months after this one"),
    DROP("to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')"): ("months", "no partition for this month"),
    DETACH("to_char(now() AT TIME ZONE 'UTC' + interval '12 months', 'YYYY_MM')"): (
        "detached",
        "is called like a month",
    ),
    "ALTER TABLE audit_log_default OWNER TO pglog_writer": (
        "owner",
        "TABLE public.audit_log_default does not belong to postgres",
    ),
    "ALTER FUNCTION audit_log_append_only() OWNER TO pglog_writer": (
        "owner",
        "FUNCTION public.audit_log_append_only() does not belong to postgres",
    ),
    "ALTER TABLE audit_log ALTER COLUMN recorded_at SET DEFAULT '1999-01-01'": (
        "values",
        "recorded_at of public.audit_log has the default '1999-01-01",
    ),
    "ALTER TABLE audit_log DROP COLUMN recorded_at": ("values", "recorded_at is gone"),
    "ALTER TABLE audit_log_default ALTER user_label SET NOT NULL, ALTER message SET NOT NULL": (
        "required",
        "NOT NULL without a default in public.audit_log_default: user_label, message",
    ),
    "ALTER SCHEMA public OWNER TO pglog_writer": ("restraint", "pglog_writer owns schema public"),
    "ALTER DATABASE {database} OWNER TO pglog_writer": ("restraint", "pglog_writer owns schema public"),
    "ALTER TABLE audit_log DROP COLUMN trace_id CASCADE": ("columns", "none for trace_id"),
    "ALTER TABLE audit_log DROP CONSTRAINT audit_log_pkey": ("retries", "makes two rows"),
    "COMMENT ON TABLE audit_log IS 'pglog_audit schema 99'": ("table", "has schema 99, newer than"),
    "COMMENT ON TABLE audit_log IS 'pglog_audit schema 0'": ("table", "has schema 0, older than"),
    "ALTER ROLE pglog_writer IN DATABASE {database} SET statement_timeout = '100ms'": (
        "settings",
        "statement_timeout is 100 ms for pglog_writer",
    ),
    "ALTER DATABASE {database} SET statement_timeout = 900": ("settings", "statement_timeout is 900 ms"),
    "ALTER ROLE pglog_writer IN DATABASE {database} SET transaction_timeout = '0.1s'": (
        "settings",
        "transaction_timeout is 100 ms for pglog_writer: the server may end the connection before a batch begins",
    ),
    "ALTER ROLE pglog_writer IN DATABASE {database} SET idle_in_transaction_session_timeout = '1ms'": (
        "settings",
        "idle_in_transaction_session_timeout is 1 ms for pglog_writer",
    ),
    "ALTER ROLE pglog_writer IN DATABASE {database} SET idle_session_timeout = '1ms'": (
        "settings",
        "idle_session_timeout is 1 ms for pglog_writer",
    ),
}

NO_ROW = (
    "REVOKE INSERT ON audit_log FROM pglog_writer",
    "REVOKE USAGE ON SCHEMA public FROM PUBLIC",
    "ALTER TABLE audit_log ADD COLUMN number serial; GRANT INSERT (number) ON audit_log TO pglog_writer",
)
"""Faults that keep the writer's own row out."""


def find(database, conninfo=None, *, writer=WRITER, **options):
    """Return the findings by name: of the owner's connection about the writer, unless told otherwise."""
    table, columns = options.pop("table", "audit_log"), options.pop("columns", {})
    target = Target(conninfo or database.owner, "--conninfo", table, columns)
    return {finding.name: finding for finding in examine(target, writer=writer, **options).findings}


def wrong(findings):
    """Return the names of what is wrong."""
    return [name for name, finding in findings.items() if finding.status == "wrong"]


def test_nothing_is_wrong_with_what_init_made(database):
    """The owner sees all of it, and each line is ok."""
    assert {finding.status for finding in find(database).values()} == {"ok"}


def test_the_writer_sees_all_but_the_rows(database):
    """An INSERT-only role examines itself; what it may not read is no failure."""
    findings = find(database, database.writer, writer=None)
    not_ok = {name: finding.status for name, finding in findings.items() if finding.status != "ok"}
    assert not_ok == {"default rows": "hidden", "gaps": "hidden"}
    assert findings["insert"].text.startswith("pglog_writer inserted an event")


def test_nothing_is_left_behind(database):
    """The event that proves the insert is rolled back."""
    find(database)
    assert database.rows() == []


@pytest.mark.parametrize("statement", FAULTS)
def test_each_fault_turns_its_own_line_wrong(database, statement):
    """Exactly one line is wrong; it names what it found, and has advice."""
    name, text = FAULTS[statement]
    database.execute(statement.replace("{database}", database.name))
    findings = find(database)
    assert wrong(findings) == [name, *(["insert"] if statement in NO_ROW else [])]
    assert text in findings[name].text
    assert findings[name].advice


def test_few_months_ahead_are_told_before_they_end(database):
    """Two months left are no failure yet, and have advice."""
    third = NEXT_MONTH.replace("1 month", "3 months")
    database.execute(DROP(third))
    found = find(database)["months"]
    assert (found.status, found.text) == ("ok", "partitions for 2 months after this one")
    assert found.advice.endswith("\nAs postgres: pglog-audit maintain")


@pytest.mark.parametrize(
    ("partitions", "text"),
    [("daily", "partitions for 30 days after this one"), ("yearly", "partitions for 2 years after this one")],
)
def test_partitions_of_other_lengths(empty_database, partitions, text):
    """Days are counted as days, years as years, and all is well with what init made."""
    with psycopg.connect(empty_database.owner) as connection:
        schema.init(connection, writer=WRITER, partitions=partitions)
    findings = find(empty_database)
    assert wrong(findings) == []
    assert (findings["months"].text, findings["months"].advice) == (text, None)


def test_quarters_count_as_months(empty_database):
    """Partitions of another length cover the months that lie whole in them."""
    with psycopg.connect(empty_database.owner) as connection:
        schema.init(connection, writer=WRITER)
    empty_database.execute(
        "DO $$DECLARE p record; BEGIN FOR p IN SELECT inhrelid::regclass AS name FROM pg_inherits"
        " WHERE inhparent = 'audit_log'::regclass AND inhrelid::regclass::text ~ '\\d$'"
        " LOOP EXECUTE 'ALTER TABLE audit_log DETACH PARTITION ' || p.name; END LOOP;"
        " EXECUTE format('CREATE TABLE half PARTITION OF audit_log FOR VALUES FROM (%%L) TO (%%L)',"
        " date_trunc('month', now(), 'UTC'), date_trunc('month', now(), 'UTC') + interval '5 months 15 days'); END$$"
    )
    assert find(empty_database)["months"].text == "partitions for 4 months after this one"


def test_what_the_catalog_hides_is_hidden(database):
    """A hardened catalog takes one line away, not the others."""
    database.execute("REVOKE SELECT ON pg_catalog.pg_rewrite FROM PUBLIC")
    findings = find(database, database.writer, writer=None)
    assert wrong(findings) == []
    assert (findings["triggers"].status, findings["triggers"].text[:24]) == ("hidden", "not visible to this role")


def test_a_question_that_takes_too_long(database):
    """A lock that somebody holds turns its line wrong, and the examination goes on."""
    impatient = make_conninfo(database.owner, options="-c statement_timeout=200")
    with psycopg.connect(database.owner) as other:
        other.execute("LOCK TABLE audit_log_default")
        findings = find(database, impatient)
    assert "57014" in findings["default rows"].text
    assert "insert" in findings


@pytest.mark.parametrize("style", ["SQL, DMY", "German", "Postgres, MDY"])
def test_months_in_whatever_form_dates_are_written(database, style):
    """The bounds of partitions are spelled in the session's own form and time zone."""
    session = make_conninfo(database.owner, options=f"-c datestyle={style.replace(' ', '')} -c timezone=Asia/Kolkata")
    assert find(database, session)["months"].text == "partitions for 12 months after this one"


def follow(database, finding, table="audit_log"):
    """Run the command that is the last line of the advice, as the owner."""
    command = shlex.join(["pglog-audit", "maintain", *([] if table == "audit_log" else ["--table", table])])
    assert finding.advice.splitlines()[-1] == f"As postgres: {command}"
    with psycopg.connect(database.owner, autocommit=True) as connection:
        maintain(connection, table=table)


class TestGuards:
    @pytest.mark.parametrize(
        ("statement", "text"),
        [
            ("DROP TRIGGER refuse_change ON audit_log", "on public.audit_log is missing, and on 14 partitions"),
            ("DROP TRIGGER refuse_truncate ON audit_log", "on public.audit_log is missing"),
            ("DROP TRIGGER refuse_truncate ON audit_log_default", "on public.audit_log_default is missing"),
            ("ALTER TABLE audit_log DISABLE TRIGGER ALL", "is not ENABLE ALWAYS, and on 14 partitions"),
            ("ALTER TABLE audit_log_default DISABLE TRIGGER ALL", "is not ENABLE ALWAYS; 1 other trigger"),
            ("DROP FUNCTION audit_log_append_only CASCADE", "is missing, and on 14 partitions; 17 other triggers"),
            (
                "CREATE OR REPLACE FUNCTION audit_log_append_only() RETURNS trigger LANGUAGE plpgsql"
                " AS 'BEGIN RETURN NULL; END'",
                "does not call the function of init, and on 14 partitions",
            ),
            (
                "CREATE FUNCTION pass() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
                "DROP TRIGGER refuse_change ON audit_log; CREATE TRIGGER refuse_change"
                " BEFORE UPDATE OR DELETE ON audit_log FOR EACH ROW EXECUTE FUNCTION pass()",
                "does not call the function of init, and on 14 partitions",
            ),
        ],
    )
    def test_maintain_restores_them(self, database, statement, text):
        """The command that is named makes them again, and then all is well."""
        database.execute(statement)
        found = find(database)["guards"]
        assert (found.status, text in found.text) == ("wrong", True), found.text
        follow(database, found)
        assert find(database)["guards"].status == "ok"
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            database.execute("TRUNCATE audit_log_default")

    def test_the_function_that_is_gone_is_named(self, database):
        """Without it no trigger can be made."""
        database.execute("DROP FUNCTION audit_log_append_only CASCADE")
        assert "The function public.audit_log_append_only itself is gone" in find(database)["guards"].advice

    def test_names_that_must_be_quoted(self, empty_database):
        """The command is printed as a shell wants it."""
        empty_database.execute('CREATE SCHEMA "My Audit"')
        with psycopg.connect(empty_database.owner) as connection:
            schema.init(connection, table="My Audit.Log", writer=WRITER)
        empty_database.execute('DROP TRIGGER refuse_change ON "My Audit"."Log"')
        follow(empty_database, find(empty_database, table="My Audit.Log")["guards"], "My Audit.Log")
        assert find(empty_database, table="My Audit.Log")["guards"].status == "ok"


class TestTraces:
    @pytest.mark.parametrize(
        ("statement", "text"),
        [
            (
                "ALTER TABLE audit_log DISABLE TRIGGER refuse_truncate, ENABLE ALWAYS TRIGGER refuse_truncate",
                "triggers of public.audit_log were made or switched after the table",
            ),
            (
                "ALTER TABLE audit_log DROP COLUMN user_label CASCADE; ALTER TABLE audit_log ADD COLUMN user_label text"
                " DEFAULT 'bob'; ALTER TABLE audit_log ALTER COLUMN user_label DROP DEFAULT;"
                f"GRANT INSERT (user_label) ON audit_log TO {WRITER}",
                "columns of public.audit_log and 14 more were dropped, or added with a value for older rows",
            ),
            ("VACUUM FULL audit_log_default", "public.audit_log_default was written anew"),
            (
                "CREATE TABLE old PARTITION OF audit_log FOR VALUES FROM ('2020-01-01Z') TO ('2020-02-01Z');"
                "CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON old EXECUTE FUNCTION audit_log_append_only();"
                "ALTER TABLE old ENABLE ALWAYS TRIGGER refuse_truncate",
                "there is no month from 2020-02-01 to",
            ),
        ],
    )
    def test_are_told_and_no_failure(self, database, statement, text):
        """What was done can have been right; who looks learns that it was done."""
        database.execute(statement)
        findings = find(database)
        assert wrong(findings) == []
        assert text in findings["traces"].text
        assert "log_statement" in findings["traces"].advice


class TestDefaultRows:
    def test_events_of_the_past_are_in_order(self, database):
        """A backfill lies before all months, where it is in nobody's way."""
        database.execute("INSERT INTO audit_log (action, occurred_at) VALUES ('a.b', '2001-01-01')")
        found = find(database)["default rows"]
        assert (found.status, found.text) == ("ok", "1 in audit_log_default, all from before the first month")

    def test_events_of_this_month_are_in_the_way(self, database):
        """Though it would be the first, this month must be there."""
        this_month = "to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')"
        database.execute(f"DO $$BEGIN EXECUTE 'DROP TABLE audit_log_' || {this_month}; END$$")
        database.execute("INSERT INTO audit_log (action, occurred_at) VALUES ('a.b', '2001-01-01'), ('a.c', now())")
        found = find(database)["default rows"]
        assert (found.status, found.text[:26]) == ("wrong", "1 in audit_log_default: th")
        follow(database, found)
        assert {finding.status for finding in find(database).values()} == {"ok"}

    def test_maintain_moves_the_rows(self, database):
        """Each row is kept as it is, the past stays in the default partition, and all is guarded."""
        times = "('a.b', '2001-01-01'), ('a.b', '2098-12-31T23:59:59Z'), ('a.b', '2099-01-01T00:00Z')"
        database.execute(f"INSERT INTO audit_log (action, occurred_at) VALUES {times}")
        before = database.rows("SELECT * FROM audit_log ORDER BY id")
        follow(database, find(database)["default rows"])
        assert database.rows("SELECT * FROM audit_log ORDER BY id") == before
        assert len(database.rows("SELECT FROM audit_log_default")) == 1
        findings = find(database)
        assert wrong(findings) == []
        assert "on 16 partitions too" in findings["guards"].text

    @pytest.mark.parametrize("time", ["infinity", "9999-01-01Z"])
    def test_events_of_no_time_are_no_failure_for_ever(self, database, time):
        """No month is made for them; what is printed shows them, and other late events are told first."""
        database.execute("INSERT INTO audit_log (action, occurred_at) VALUES ('a.b', %s)", time)
        self.assert_noted(
            database, "1 in audit_log_default, of a future so far that maintain makes no months for it", 1
        )
        database.execute("INSERT INTO audit_log (action, occurred_at) VALUES ('a.b', '2099-01-01')")
        found = find(database)["default rows"]
        assert (found.status, found.text[:26]) == ("wrong", "1 in audit_log_default: th")
        follow(database, found)
        assert find(database)["default rows"].status == "ok"

    def test_more_far_months_than_are_made(self, database):
        """As maintain does with them."""
        database.execute(
            "INSERT INTO audit_log (action, occurred_at)"
            " SELECT 'a.b', timestamptz '2050-01-01Z' + n * interval '1 month' FROM generate_series(0, 24) AS n"
        )
        with psycopg.connect(database.owner, autocommit=True) as connection:
            assert maintain(connection).moved == 0
        self.assert_noted(database, "25 in audit_log_default, of a future so far", 25)
        database.execute("DROP TABLE audit_log_default; CREATE TABLE audit_log_default PARTITION OF audit_log DEFAULT")
        database.execute("INSERT INTO audit_log (action, occurred_at) VALUES ('a.b', '2050-01-01Z')")
        assert find(database)["default rows"].status == "wrong"

    def assert_noted(self, database, text, count):
        """The line is ok, and the statement that it prints finds as many rows."""
        found = find(database)["default rows"]
        assert (found.status, found.text[: len(text)]) == ("ok", text)
        with psycopg.connect(database.owner) as connection:
            assert connection.execute(found.advice.splitlines()[-1]).rowcount == count


@pytest.mark.parametrize("what", ["TABLE audit_log", "ALL TABLES", "TABLES IN SCHEMA public"])
def test_a_publication_by_the_names_of_months(any_database, what):
    """However the table came into it, new months would not come through; what is printed mends it."""
    with psycopg.connect(any_database.owner) as connection:
        schema.init(connection)
    any_database.execute(f"CREATE PUBLICATION events FOR {what}; CREATE PUBLICATION deleted WITH (publish = 'delete')")
    found = find(any_database, writer=None)["publications"]
    assert (found.status, found.text[:28]) == ("ok", "events sends each month by i")
    any_database.execute(found.advice.partition(": ")[2].partition("; then")[0])
    assert find(any_database, writer=None)["publications"].advice is None


def test_a_view_of_ones_own_is_told(database):
    """Its maker knows what it shows; who reads doctor learns that it is not init's."""
    database.execute("DROP VIEW audit_timeline; CREATE VIEW audit_timeline AS SELECT action FROM audit_log")
    findings = find(database)
    assert wrong(findings) == []
    assert findings["view"].text == "public.audit_timeline is none of init's, and may leave events out"
    database.execute("DROP VIEW audit_timeline")
    assert find(database)["view"].advice == "As postgres: pglog-audit init"


@pytest.mark.parametrize("id_type", ["bigint", "text"])
def test_the_view_of_other_ids(any_database, id_type):
    """It is compared with what init makes of this table."""
    with psycopg.connect(any_database.owner) as connection:
        schema.init(connection, table="My Log", id_types=dict.fromkeys(["user_id", "target_id"], id_type))
    assert find(any_database, writer=None, table="My Log")["view"].text == (
        'public."My Log_timeline" shows every event, as init made it'
    )


def test_the_view_where_nothing_can_be_made(database):
    """Neither on a standby nor without TEMPORARY is anything wrong."""
    readonly = make_conninfo(database.owner, options="-c default_transaction_read_only=on")
    assert find(database, readonly)["view"].status == "hidden"
    database.execute(f"REVOKE TEMPORARY ON DATABASE {database.name} FROM PUBLIC")
    assert find(database, database.writer, writer=None)["view"].status == "hidden"


def test_what_retention_dropped_is_told_again(database):
    """What is printed makes the table that is gone, and then all is well."""
    database.execute("DROP TABLE audit_log_retained")
    assert find(database)["retained"].advice.splitlines()[1:] == ["As postgres: pglog-audit upgrade"]
    with psycopg.connect(database.owner, autocommit=True) as connection:
        upgrade(connection)
    assert {finding.status for finding in find(database).values()} == {"ok"}


@pytest.mark.parametrize(
    "statement",
    [
        "COMMENT ON TABLE audit_log_retained IS NULL",
        "DROP TABLE audit_log_retained; CREATE TABLE other (); ALTER TABLE other RENAME TO audit_log_retained",
    ],
)
def test_another_table_of_that_name_is_told(database, statement):
    """It is renamed unless it is init's; what is printed does the rest."""
    database.execute(statement)
    found = find(database)["retained"]
    assert found.text.startswith("audit_log_retained is another's, or has lost the comment of init")
    if "other" in statement:
        database.execute("ALTER TABLE audit_log_retained RENAME TO other")
    database.execute(found.advice.splitlines()[1].partition(": ")[2])
    with psycopg.connect(database.owner, autocommit=True) as connection:
        upgrade(connection)
    assert {finding.status for finding in find(database).values()} == {"ok"}


def test_a_partition_of_a_superusers(database, plain_owner):
    """The operator could not maintain it; what is printed mends it."""
    database.execute("ALTER TABLE audit_log_default OWNER TO postgres")
    found = find(database)["owner"]
    assert (found.status, found.advice) == ("wrong", f"ALTER TABLE public.audit_log_default OWNER TO {plain_owner};")
    database.execute(found.advice)
    assert find(database)["owner"].status == "ok"


def test_a_member_by_two_grants_is_named_once(database, plain_owner):
    """From PostgreSQL 16 on each grantor's counts for itself."""
    admin = "pglog_doctor_admin"
    database.execute(f"CREATE ROLE {admin} CREATEROLE; GRANT {plain_owner} TO {admin} WITH ADMIN OPTION")
    database.execute(f"GRANT {plain_owner} TO {WRITER}")
    database.execute(f"SET ROLE {admin}; GRANT {plain_owner} TO {WRITER}")
    assert f"; {admin}, {WRITER} may act as it" in find(database)["owner"].text
    database.execute(f"REVOKE {plain_owner} FROM {admin} CASCADE; DROP ROLE {admin}")


class TestRowSecurity:
    @pytest.fixture(autouse=True)
    def on(self, database):
        """Turn it on."""
        database.execute("ALTER TABLE audit_log ENABLE ROW LEVEL SECURITY")

    @pytest.mark.parametrize("asks", ["owner", "writer"])
    def test_without_a_policy_is_wrong(self, database, asks):
        """Grants do not suffice, whoever asks; what is printed mends it."""
        findings = find(database, getattr(database, asks))
        assert wrong(findings) == ["row security", "insert"]
        assert findings["row security"].text == "it is on, and no policy lets pglog_writer insert"
        database.execute(findings["row security"].advice.partition(": ")[2])
        findings = find(database)
        assert wrong(findings) == []
        assert findings["row security"].text == "it is on, and lets pglog_writer insert every row"

    @pytest.mark.parametrize(
        "policy",
        [
            "FOR SELECT USING (true)",
            "FOR INSERT TO postgres WITH CHECK (true)",
            "AS RESTRICTIVE FOR INSERT WITH CHECK (true)",
        ],
    )
    def test_a_policy_that_lets_no_row_pass(self, database, policy):
        """One for reading, for another role or restrictive alone is none."""
        database.execute(f"CREATE POLICY mine ON audit_log {policy}")
        assert wrong(find(database)) == ["row security", "insert"]

    @pytest.mark.parametrize(
        "policy",
        ["WITH CHECK (action <> 'a.b')", "AS RESTRICTIVE FOR INSERT WITH CHECK (action <> 'a.b')"],
    )
    def test_a_policy_that_depends_on_the_row(self, database, policy):
        """What it lets pass cannot be judged; it is named."""
        if "RESTRICTIVE" in policy:
            database.execute("CREATE POLICY every ON audit_log FOR INSERT WITH CHECK (true)")
        database.execute(f"CREATE POLICY mine ON audit_log {policy}")
        findings = find(database)
        assert wrong(findings) == []
        assert findings["row security"].text == "policy mine decides which rows pglog_writer may insert"
        assert "depends on the row" in findings["row security"].advice

    def test_who_is_not_bound(self, database, plain_owner):
        """The owner is bound by FORCE alone."""
        assert "does not bind" in find(database, writer=plain_owner)["row security"].text
        database.execute("ALTER TABLE audit_log FORCE ROW LEVEL SECURITY")
        assert find(database, writer=plain_owner)["row security"].status == "wrong"
        assert "does not bind postgres" in find(database, writer="postgres")["row security"].text


class TestValues:
    @pytest.mark.parametrize(
        ("statement", "text"),
        [
            (
                "ALTER TABLE audit_log ALTER user_label SET DEFAULT 'mallory'",
                "user_label of public.audit_log has the default 'mallory'::text, and 14 more",
            ),
            (
                "ALTER TABLE audit_log_default ALTER user_label SET DEFAULT 'mallory'",
                "user_label of public.audit_log_default has the default 'mallory'::text",
            ),
            ("ALTER TABLE audit_log ALTER outcome DROP DEFAULT", "outcome of public.audit_log has no default"),
            ("ALTER TABLE audit_log ALTER action DROP NOT NULL", "action of public.audit_log may be NULL, and 14 more"),
            (
                "ALTER TABLE audit_log_retained ALTER retained_by SET DEFAULT 'alice'",
                "retained_by of public.audit_log_retained has the default 'alice'::text",
            ),
        ],
    )
    def test_that_init_does_not_give(self, database, statement, text):
        """They are named, in the table or in one partition; what is printed mends them."""
        database.execute(statement)
        findings = find(database)
        assert wrong(findings) == ["values"]
        assert findings["values"].text.startswith(text)
        database.execute(findings["values"].advice.partition(": ")[2])
        assert wrong(find(database)) == []

    @pytest.mark.parametrize(
        ("column", "text"),
        [
            ("user_label text GENERATED ALWAYS AS ('mallory') STORED", "user_label of public.audit_log is generated"),
            ("user_label text GENERATED ALWAYS AS ('mallory') VIRTUAL", "user_label of public.audit_log is generated"),
            ("writer_seq bigint GENERATED ALWAYS AS IDENTITY", "writer_seq of public.audit_log is an identity"),
        ],
    )
    def test_a_generated_column(self, database, column, text):
        """It says what its owner wants, or counts, whatever was logged."""
        database.execute(f"ALTER TABLE audit_log DROP {column.split()[0]} CASCADE, ADD {column}")
        found = find(database)["values"]
        assert found.text.startswith(text)
        database.execute(found.advice.partition(": ")[2])
        assert find(database)["values"].status == "ok"

    @pytest.mark.parametrize("any_server", ["debian"], indirect=True)
    def test_a_collation_that_takes_texts_for_the_same(self, any_database):
        """A question by one name then answers with another's events."""
        with psycopg.connect(any_database.owner) as connection:
            schema.init(connection)
        any_database.execute(
            "CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);"
            "DROP VIEW audit_timeline; ALTER TABLE audit_log ALTER request_id TYPE text COLLATE nocase"
        )
        found = find(any_database, writer=None)["values"]
        assert found.text.startswith(
            "request_id of public.audit_log takes different texts for the same, by collation nocase"
        )
        any_database.execute(found.advice.partition(": ")[2])
        assert find(any_database, writer=None)["values"].status == "ok"

    def test_what_is_as_good(self, database):
        """A UUIDv7 of the server's, another order of texts, a partition without defaults, and columns of one's own."""
        database.execute(
            "ALTER TABLE audit_log ALTER id SET DEFAULT uuidv7(), ADD COLUMN mine text DEFAULT 'x';"
            'DROP VIEW audit_timeline; ALTER TABLE audit_log ALTER message TYPE text COLLATE "POSIX";'
            "ALTER TABLE audit_log_default ALTER recorded_at DROP DEFAULT;"
            f"GRANT INSERT (mine) ON audit_log TO {WRITER}"
        )
        assert wrong(find(database)) == []


class TestUnlogged:
    @pytest.mark.parametrize("table", ["audit_log_default", "audit_log_retained"])
    def test_tables_are_named(self, database, table):
        """A crash would empty them; what is printed mends it."""
        database.execute(f"ALTER TABLE {table} SET UNLOGGED")
        findings = find(database)
        assert wrong(findings) == ["unlogged"]
        assert findings["unlogged"].text.startswith(f"public.{table} is UNLOGGED")
        database.execute(findings["unlogged"].advice.partition(": ")[2])
        assert wrong(find(database)) == []

    def test_a_month_that_was_made_so(self, any_database):
        """In every version of the server each partition says it for itself."""
        with psycopg.connect(any_database.owner) as connection:
            schema.init(connection)
        any_database.execute("DROP TABLE audit_log_default; CREATE UNLOGGED TABLE audit_log_default (LIKE audit_log)")
        any_database.execute("ALTER TABLE audit_log ATTACH PARTITION audit_log_default DEFAULT")
        assert find(any_database, writer=None)["unlogged"].status == "wrong"


class TestRequired:
    def test_a_column_that_an_event_may_leave_out(self, database):
        """It is named, at the insert too; what is printed mends it."""
        database.execute("ALTER TABLE audit_log ADD COLUMN amount int NOT NULL")
        database.execute(f"GRANT INSERT (amount) ON audit_log TO {WRITER}")
        findings = find(database)
        assert wrong(findings) == ["required", "insert"]
        assert "NOT NULL without a default: amount" in findings["required"].text
        assert "refuses a value for column amount (NotNullViolation, 23502)" in findings["insert"].text
        database.execute(findings["required"].advice.partition(": ")[2])
        assert wrong(find(database)) == []

    def test_a_column_with_a_default(self, database):
        """The default fills it."""
        database.execute("ALTER TABLE audit_log ADD COLUMN amount int NOT NULL DEFAULT 0")
        database.execute(f"GRANT INSERT (amount) ON audit_log TO {WRITER}")
        assert wrong(find(database)) == []


class TestWhoseInsert:
    def test_the_owner_proves_it_as_the_writer(self, database):
        """Who may act as the writer does, and says as whom."""
        text = find(database)["insert"].text
        assert text.startswith(
            "pglog_writer inserted an event by the writer's statement, over the connection of postgres"
        )

    def test_an_owner_who_may_not_act_as_the_writer(self, database, plain_owner):
        """It proves its own insert, and says whose is not proved."""
        found = find(database, make_conninfo(database.owner, user=plain_owner))["insert"]
        assert (found.status, found.text.split()[0]) == ("ok", plain_owner)
        assert found.advice == (
            f"{plain_owner} may not act as pglog_writer: to prove that it can insert, connect as pglog_writer."
        )


class TestReader:
    @pytest.fixture
    def reader(self, database):
        """Return how a role connects that may read and nothing else."""
        database.execute("DROP ROLE IF EXISTS pglog_doctor_reader; CREATE ROLE pglog_doctor_reader LOGIN")
        database.execute("GRANT SELECT ON audit_log TO pglog_doctor_reader")
        yield make_conninfo(database.owner, user="pglog_doctor_reader")
        database.execute("DROP OWNED BY pglog_doctor_reader; DROP ROLE pglog_doctor_reader")

    def test_is_told_to_name_the_writer(self, database, reader):
        """Who only reads is not sent to get the writer's grants."""
        findings = find(database, reader, writer=None)
        assert wrong(findings) == []
        for name in ("grants", "insert"):
            assert (findings[name].status, findings[name].text) == (
                "hidden",
                "pglog_doctor_reader reads and does not write",
            )
            assert findings[name].advice == "Name the application's role with --writer."

    def test_examines_the_writer_that_it_names(self, database, reader):
        """All but the insert can be seen."""
        findings = find(database, reader)
        assert wrong(findings) == []
        assert findings["grants"].status == "ok"
        assert findings["insert"].status == "hidden"
        assert "connect as pglog_writer" in findings["insert"].advice

    def test_of_a_handler_is_wrong(self, database, reader):
        """A handler that connects as a role without INSERT writes nothing."""
        target = Target.of_handler(read_options(reader, {})[0])
        assert wrong({finding.name: finding for finding in examine(target).findings}) == ["grants", "insert"]

    def test_that_writes_too_is_told(self, database):
        """One role for both is no fault, and what it costs is said; what is printed takes it back."""
        database.execute(f"GRANT SELECT ON audit_log TO {WRITER}")
        found = find(database)["restraint"]
        assert (found.status, "It may read as well" in found.advice) == ("ok", True)
        database.execute(found.advice.partition(": ")[2])
        assert find(database)["restraint"].advice is None


def test_a_clock_that_is_ahead(database, monkeypatch):
    """Beyond some seconds the line says which way, and what comes of it."""
    monkeypatch.setattr(server, "time", SimpleNamespace(time=lambda: time.time() + 60, perf_counter=time.perf_counter))
    findings = find(database)
    assert wrong(findings) == ["clock"]
    assert findings["clock"].text == "this machine is 60 s ahead of the server"
    assert "wrong order" in findings["clock"].advice


def test_a_slow_answer_is_no_skew(database, monkeypatch):
    """Half of the round trip may lie on either side."""
    times = iter([time.time() - 30, time.time()])
    monkeypatch.setattr(server, "time", SimpleNamespace(time=lambda: next(times), perf_counter=time.perf_counter))
    assert wrong(find(database)) == []


def test_an_old_server():
    """A server older than 14 is told before anything is asked of its catalog."""
    found = server.check_server(SimpleNamespace(info=SimpleNamespace(server_version=130012)))
    assert (found.status, found.text) == ("wrong", "PostgreSQL 13.12")


def test_a_role_whose_transactions_are_read_only(database):
    """The writer's own statement gets through, and it is told what insert_event has to expect."""
    database.execute(f"ALTER ROLE {WRITER} IN DATABASE {database.name} SET default_transaction_read_only = on")
    findings = find(database, database.writer, writer=None)
    assert wrong(findings) == []
    assert findings["insert"].status == "ok"
    assert findings["settings"].text == f"default_transaction_read_only is on for {WRITER}"
    assert "insert_event" in findings["settings"].advice


def test_commits_that_do_not_wait_are_told(database):
    """Durability given away is no failure, but what it costs is said."""
    database.execute(f"ALTER ROLE {WRITER} IN DATABASE {database.name} SET synchronous_commit = on")
    assert find(database)["settings"].advice is None
    database.execute(f"ALTER ROLE {WRITER} IN DATABASE {database.name} SET synchronous_commit = off")
    found = find(database)["settings"]
    assert (found.status, found.text) == ("ok", "synchronous_commit is off for pglog_writer")
    assert 'ALTER ROLE "pglog_writer" SET synchronous_commit = on;' in found.advice


@pytest.mark.parametrize("setting", ["transaction_timeout", "idle_in_transaction_session_timeout"])
def test_time_limits_that_leave_time(database, setting):
    """A second is enough to begin a batch, which has a limit of its own."""
    database.execute(f"ALTER ROLE {WRITER} IN DATABASE {database.name} SET {setting} = '1s'")
    assert {finding.status for finding in find(database).values()} == {"ok"}


def test_a_connection_that_the_server_ends(database, monkeypatch):
    """As by a time limit of the role that connects: what was found stays, and who finds more is told."""
    end = "SELECT pg_terminate_backend(pg_backend_pid())"
    monkeypatch.setattr(server, "check_clock", lambda connection: connection.execute(end))
    findings = find(database, database.writer, writer=None)
    assert wrong(findings) == ["connection"]
    assert findings["connection"].text.startswith("it was ended: terminating connection due to administrator command")
    assert "another role's doctor --writer pglog_writer" in findings["connection"].advice
    assert findings["server"].status == "ok"


def test_a_writer_without_grants(database):
    """The role that connects lacks the grants, and so its insert fails."""
    database.execute(f"REVOKE INSERT ON audit_log FROM {WRITER}")
    findings = find(database, database.writer, writer=None)
    assert wrong(findings) == ["grants", "insert"]
    assert findings["grants"].advice == "As postgres: pglog-audit init --writer pglog_writer"


def test_a_trigger_that_drops_rows(database):
    """The proof counts what was stored."""
    database.execute(BEFORE_INSERT.replace("RETURN NEW", "RETURN NULL"))
    assert wrong(find(database)) == ["triggers", "insert"]


def test_a_role_that_does_not_exist(database):
    """A misspelt --writer is told as such."""
    findings = find(database, writer="no_such_role")
    assert wrong(findings) == ["grants"]
    assert findings["grants"].text == "there is no role no_such_role"


@pytest.fixture
def plain_owner(database):
    """Give the table to a role that is no superuser, and return that role's name."""
    database.execute("DROP ROLE IF EXISTS pglog_doctor_owner")
    database.execute("CREATE ROLE pglog_doctor_owner LOGIN")
    database.execute(
        "DO $$DECLARE part regclass; BEGIN"
        " FOR part IN SELECT relid FROM pg_partition_tree('audit_log') UNION SELECT 'audit_log_retained'::regclass"
        " LOOP EXECUTE format('ALTER TABLE %%s OWNER TO pglog_doctor_owner', part); END LOOP; END$$;"
        " ALTER FUNCTION audit_log_append_only() OWNER TO pglog_doctor_owner"
    )
    yield "pglog_doctor_owner"
    database.execute(f"REVOKE pglog_doctor_owner FROM {WRITER}")
    database.execute("DROP OWNED BY pglog_doctor_owner CASCADE")
    database.execute("DROP ROLE pglog_doctor_owner")


def test_writers_that_nothing_binds(database, plain_owner):
    """A superuser, the owner and a member of the owner could undo everything."""
    assert "postgres is a superuser" in find(database, writer="postgres")["restraint"].text
    assert f"{plain_owner} owns the table" in find(database, writer=plain_owner)["restraint"].text
    database.execute(f"GRANT {plain_owner} TO {WRITER}")
    findings = find(database)
    assert wrong(findings) == ["restraint"]
    assert "is a member of the role that owns the table" in findings["restraint"].text


def test_the_owner_is_told_to_name_the_writer(database):
    """Whoever examines with the connection for maintenance learns of --writer."""
    findings = find(database, writer=None)
    assert wrong(findings) == ["restraint"]
    assert "--writer" in findings["restraint"].advice


ANOTHERS = {"table": "activity", "columns": {"occurred_at": "created_at"}}


class TestAnotherProgramsTable:
    def test_it_is_used_only_if_that_is_meant(self, empty_database):
        """Without --existing a table of that name is taken for a mistake."""
        empty_database.execute(NARROW)
        target = Target(empty_database.owner, "--conninfo", **ANOTHERS)
        examination = examine(target)
        assert not examination.has_table
        assert examination.findings[-1].text == "public.activity was not made by pglog-audit"
        assert "--existing" in examination.findings[-1].advice

    def test_a_narrow_table_tells_what_it_cannot_hold(self, empty_database):
        """Fields that are left out and lines that may come twice are told; neither is a failure."""
        empty_database.execute(NARROW)
        empty_database.execute(f"GRANT INSERT (user_id, action, metadata, created_at) ON activity TO {WRITER}")
        empty_database.execute(f"GRANT USAGE ON SEQUENCE activity_id_seq TO {WRITER}")
        findings = find(empty_database, empty_database.writer, writer=None, existing=True, **ANOTHERS)
        assert {finding.status for finding in findings.values()} == {"ok"}
        assert "none for changes, entity_type" in findings["columns"].text
        assert "audit.*" in findings["columns"].advice
        assert "at-least-once" in findings["retries"].advice
        assert not {"guards", "months", "default rows"} & findings.keys()

    def test_its_sequence_must_be_usable(self, empty_database):
        """A serial column's default calls nextval."""
        empty_database.execute(NARROW)
        empty_database.execute(f"GRANT INSERT ON activity TO {WRITER}")
        findings = find(empty_database, existing=True, **ANOTHERS)
        assert wrong(findings) == ["grants", "insert"]
        assert "USAGE on sequence public.activity_id_seq" in findings["grants"].text
        assert findings["grants"].advice.endswith("init --writer pglog_writer --table activity --existing")

    def test_without_an_action_nothing_is_written(self, empty_database):
        """The one column that must be there."""
        empty_database.execute("CREATE TABLE activity (created_at timestamptz)")
        empty_database.execute(f"GRANT INSERT ON activity TO {WRITER}")
        findings = find(empty_database, existing=True, **ANOTHERS)
        assert wrong(findings) == ["columns", "insert"]
        assert "a column is missing" in findings["insert"].text
        assert "no column action" in find(empty_database, writer=None, existing=True, **ANOTHERS)["insert"].text

    def test_a_uuid_id_with_a_unique_index_tells_lines_apart(self, empty_database):
        """With the key of ours a batch may be sent again."""
        empty_database.execute("CREATE TABLE activity (id uuid PRIMARY KEY, action text, created_at timestamptz)")
        empty_database.execute(f"GRANT INSERT ON activity TO {WRITER}")
        assert find(empty_database, existing=True, **ANOTHERS)["retries"].text.endswith("makes one row")


def test_a_missing_table(empty_database):
    """The line names table, database and role."""
    examination = examine(Target(empty_database.owner, "--conninfo"))
    assert not examination.has_table
    assert wrong({finding.name: finding for finding in examination.findings}) == ["table"]
    assert f"no table audit_log in database {empty_database.name}" in examination.findings[-1].text


def test_a_table_in_another_schema(empty_database):
    """Where the search path does not lead is told."""
    empty_database.execute("CREATE SCHEMA hidden")
    with psycopg.connect(empty_database.owner) as connection:
        schema.init(connection, table="hidden.audit_log")
    examination = examine(Target(empty_database.owner, "--conninfo"))
    assert examination.findings[-1].text.endswith("but one in schema hidden")


def test_no_connection():
    """What libpq says is told, without the password."""
    examination = examine(Target("postgresql://app:s3cr3t@127.0.0.1:1/app", "DATABASE_URL"))
    [found] = examination.findings
    assert not examination.is_reachable
    assert (found.name, found.status) == ("connection", "wrong")
    assert "user=app host=127.0.0.1 port=1 dbname=app, from DATABASE_URL" in found.text
    assert "s3cr3t" not in found.text


def test_the_connection_is_the_handlers(database, monkeypatch):
    """Of a handler come conninfo, table and columns; who named the database is told."""
    options, _ = read_options(lambda: database.writer, {"columns": {"occurred_at": "created_at"}})
    target = Target.of_handler(options)
    assert (target.origin, target.columns) == ("the handler", {"occurred_at": "created_at"})
    monkeypatch.setenv("PGLOG_AUDIT_CONNINFO", database.writer)
    assert Target.of_handler(read_options(None, {})[0]).origin == "PGLOG_AUDIT_CONNINFO"


def test_the_pool_of_a_handler_is_not_borrowed_from(database):
    """A pool tells where its connections lead; doctor opens one of its own."""
    parameters = {"application_name": "mine", "cursor_factory": psycopg.RawCursor, "row_factory": dict_row}
    pool = ConnectionPool(database.writer, kwargs=parameters, open=False)
    target = Target.of_handler(read_options(None, {"pool": pool})[0])
    assert (target.parameters, target.origin) == (parameters, "the handler")
    assert wrong({finding.name: finding for finding in examine(target).findings}) == []


def test_quoted_names_are_quoted_in_advice(empty_database):
    """What is printed can be pasted, whatever the table is called."""
    empty_database.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier("My Audit")).as_string())
    with psycopg.connect(empty_database.owner) as connection:
        schema.init(connection, table="My Audit.Log", writer=WRITER)
    empty_database.execute('GRANT UPDATE ON "My Audit"."Log" TO pglog_writer')
    empty_database.execute('REVOKE INSERT ON "My Audit"."Log" FROM pglog_writer')
    findings = find(empty_database, table="My Audit.Log")
    assert 'REVOKE UPDATE ON "My Audit"."Log" FROM pglog_writer' in findings["restraint"].advice
    assert findings["grants"].advice.endswith("init --writer pglog_writer --table 'My Audit.Log'")
