"""
Attacks on the trail, by every role: what is refused, what is found, and what only the server's own log would tell.

Each cell of CELLS is one test; README.md's table is compared with it.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.errors import InsufficientPrivilege
from uuid_utils import uuid7

from pglog_audit import AuditLog, audit, catalog, insert_event, schema
from pglog_audit.doctor import Target, examine
from pglog_audit.retention import retain
from pglog_audit.sql import template
from tests.conftest import Database

ROLES = ("writer", "reader", "operator", "owner", "superuser")
OWNER, WRITER, READER, OPERATOR = (f"pglog_attack_{name}" for name in ("owner", "writer", "reader", "operator"))
LOGIN = {"writer": WRITER, "reader": READER, "operator": OPERATOR, "owner": OPERATOR, "superuser": "postgres"}
"""Who connects to be that role: nobody logs in as the owner."""
MONTH = f"audit_log_{datetime.now(UTC):%Y_%m}"
WRITER_ID = "019cae1f-95b9-7d30-a1c4-6f0b6f6a3c51"

UPDATES = ("UPDATE {} SET message = 'forged'", "DELETE FROM {}", "TRUNCATE {}")
CHANGES = [statement.format(table) for statement in UPDATES for table in ("public.audit_log", f"public.{MONTH}")]
NEXT_MONTH = datetime.now(UTC).replace(day=1) + timedelta(days=32)
BOUNDS = f"FOR VALUES FROM ('{datetime.now(UTC):%Y-%m-01}+00') TO ('{NEXT_MONTH:%Y-%m-01}+00')"
DETACH = f"ALTER TABLE audit_log DETACH PARTITION {MONTH}"
ENABLE = f"ALTER TABLE {MONTH} ENABLE ALWAYS TRIGGER refuse_truncate"
GUARD = f"CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON {MONTH} EXECUTE FUNCTION audit_log_append_only(); {ENABLE}"
FORGED = "CREATE TEMPORARY TABLE forged AS SELECT * FROM audit_log; UPDATE forged SET message = 'forged'"
MADE_AGAIN = schema.script(owner=OWNER, writer=WRITER, reader=READER, operator=OPERATOR, rls=True, transaction=False)
FEWER = "AND action <> ''money.stolen''"
VIEW = (
    "DO $$BEGIN EXECUTE 'CREATE OR REPLACE VIEW audit_timeline WITH (security_invoker) AS ' || rtrim({}, ';') {}; END$$"
)
NO_MONEY = """
    CREATE FUNCTION public.no_money() RETURNS trigger LANGUAGE plpgsql
    AS $$BEGIN IF NEW.action = 'money.stolen' THEN RAISE EXCEPTION 'no'; END IF; RETURN NULL; END$$
"""
DEFINER = """
    CREATE FUNCTION public.every() RETURNS SETOF audit_log LANGUAGE sql SECURITY DEFINER AS 'SELECT * FROM audit_log'
"""
RETAINED = (
    "INSERT INTO audit_log_retained (partition, begins, ends, events, writer_id, claim) VALUES ('x', now(), now(),"
)
PLANTED = """
    CREATE FUNCTION evil.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS 'SELECT ''1999-01-01''::timestamptz';
    CREATE FUNCTION evil.starts_with(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
    CREATE FUNCTION evil.audit_log_append_only() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TABLE evil.audit_log (action text, metadata jsonb);
    GRANT ALL ON evil.audit_log TO PUBLIC;
"""
PLANTED_TYPES = "".join(
    f"CREATE DOMAIN evil.{name} AS pg_catalog.{name} CHECK (evil.caught(VALUE::pg_catalog.text));"
    for name in ("uuid", "jsonb", "inet", "float8", "int8", "timestamptz", "name", "text")
)
PLANTED_TYPES = f"""
    CREATE FUNCTION evil.caught(pg_catalog.text) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE 'caught'; END$$;
    CREATE FUNCTION evil.caught(name, name) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE 'caught'; END$$;
    CREATE OPERATOR evil.= (leftarg = name, rightarg = name, function = evil.caught);
    CREATE FUNCTION evil.caught(jsonb, text[]) RETURNS jsonb LANGUAGE plpgsql AS $$BEGIN RAISE 'caught'; END$$;
    CREATE OPERATOR evil.- (leftarg = jsonb, rightarg = text[], function = evil.caught);
    CREATE FUNCTION evil.gen_random_uuid() RETURNS uuid LANGUAGE plpgsql AS $$BEGIN RAISE 'caught'; END$$;
    {PLANTED_TYPES}
"""


@dataclass(frozen=True)
class Attack:
    """A row of the table: what is done, each way for itself, and what becomes of it for each role."""

    name: str
    ways: tuple[str, ...]
    cells: tuple[str, ...]
    check: str = ""
    """The line of doctor that finds it, or notes it; it is traces that notes most."""


NOBODY = ("no", "no", "no", "no", "no")
FOUND = ("no", "no", "no", "doctor", "doctor")
NOTED = ("no", "no", "no", "noted", "noted")

ATTACKS = (
    Attack("`UPDATE`, `DELETE`, `TRUNCATE`, on the table or on a month", (*CHANGES,), NOBODY),
    Attack(
        "the same with `session_replication_role = replica`",
        tuple(f"SET session_replication_role = replica; {change}" for change in CHANGES),
        NOBODY,
    ),
    Attack(
        "`INSERT … ON CONFLICT DO UPDATE`, `MERGE`",
        (
            "INSERT INTO audit_log SELECT * FROM audit_log"
            " ON CONFLICT (id, occurred_at) DO UPDATE SET message = 'forged'",
            "MERGE INTO audit_log USING (SELECT 1) AS one ON true WHEN MATCHED THEN UPDATE SET message = 'forged'",
            "MERGE INTO audit_log USING (SELECT 1) AS one ON true WHEN MATCHED THEN DELETE",
        ),
        NOBODY,
    ),
    Attack(
        "a temporary table of the same name",
        (
            "CREATE TEMPORARY TABLE audit_log (action text, metadata jsonb)",
            "CREATE TEMPORARY TABLE audit_log (action text, metadata jsonb); SET search_path = pg_temp, public",
        ),
        ("harmless",) * 5,
    ),
    Attack(
        "functions and a table of the same names, in a schema that `search_path` has first",
        (f"{PLANTED} SET search_path = evil, public, pg_catalog",),
        ("harmless",) * 5,
    ),
    Attack(
        "types, functions and operators of PostgreSQL's names, in such a schema",
        (f"{PLANTED_TYPES} SET search_path = evil, public, pg_catalog",),
        ("harmless",) * 5,
    ),
    Attack(
        "an event that nobody caused, in the place of a missing one",
        (f"INSERT INTO audit_log (action, writer_id, writer_seq) VALUES ('x.y', '{WRITER_ID}', 2)",),
        ("unseen", "no", "no", "unseen", "unseen"),
    ),
    Attack(
        "an event with another `recorded_at`",
        ("INSERT INTO audit_log (action, recorded_at) VALUES ('x.y', '1999-01-01')",),
        ("no", "no", "no", "unseen", "unseen"),
    ),
    Attack(
        "another default of `recorded_at`",
        ("ALTER TABLE audit_log ALTER COLUMN recorded_at SET DEFAULT '1999-01-01'",),
        FOUND,
        "values",
    ),
    Attack(
        "a name for whoever events do not name, by a default",
        (
            "ALTER TABLE audit_log ALTER COLUMN user_label SET DEFAULT 'mallory'",
            f"ALTER TABLE {MONTH} ALTER COLUMN user_label SET DEFAULT 'mallory'",
        ),
        FOUND,
        "values",
    ),
    Attack(
        "an event of the year 2099",
        ("INSERT INTO audit_log (action, occurred_at) VALUES ('x.y', '2099-01-01')",),
        ("doctor", "no", "no", "doctor", "doctor"),
        "default rows",
    ),
    Attack(
        "events of more far months than `maintain` makes, or of `infinity`",
        (
            "INSERT INTO audit_log (action, occurred_at)"
            " SELECT 'x.y', timestamptz '2099-01-01Z' + n * interval '1 month' FROM generate_series(0, 24) AS n",
            "INSERT INTO audit_log (action, occurred_at) VALUES ('x.y', 'infinity')",
        ),
        ("noted", "no", "no", "noted", "noted"),
        "default rows",
    ),
    Attack(
        "keep events of a kind out, by a constraint",
        ("ALTER TABLE audit_log ADD CHECK (action <> 'money.stolen') NOT VALID",),
        FOUND,
        "checks",
    ),
    Attack(
        "the same by a trigger",
        (f"{NO_MONEY}; CREATE TRIGGER a AFTER INSERT ON audit_log FOR EACH ROW EXECUTE FUNCTION no_money()",),
        FOUND,
        "triggers",
    ),
    Attack(
        "the same from one partition, by NOT NULL",
        ("ALTER TABLE audit_log_default ALTER COLUMN tenant_id SET NOT NULL",),
        FOUND,
        "required",
    ),
    Attack(
        "leave events out of `audit_timeline`",
        (VIEW.format("pg_get_viewdef('audit_timeline')", f"|| '{FEWER}'"),),
        FOUND,
        "view",
    ),
    Attack(
        "the same with a view that does not say that it is of `init`",
        (
            VIEW.format("pg_get_viewdef('audit_timeline')", f"|| '{FEWER}'")
            + "; COMMENT ON VIEW audit_timeline IS NULL",
        ),
        NOTED,
        "view",
    ),
    Attack(
        "a row `audit.gap` that explains what is missing",
        (
            "INSERT INTO audit_log (action, writer_id, metadata) VALUES"
            f' (\'audit.gap\', \'{WRITER_ID}\', \'{{"reason": "forged", "ranges": [[2, 2]], "count": 1}}\')',
        ),
        ("gaps", "no", "no", "gaps", "gaps"),
    ),
    Attack(
        "a row in `audit_log_retained` that explains what is missing",
        (f'{RETAINED} 1, \'{WRITER_ID}\', \'{{"reason": "forged", "ranges": [[2, 2]], "count": 1}}\')',),
        ("no", "no", "no", "gaps", "gaps"),
    ),
    Attack(
        "change what that table tells",
        (
            f"{RETAINED} 0, null, null); UPDATE audit_log_retained SET events = 7",
            f"{RETAINED} 0, null, null); DELETE FROM audit_log_retained",
            "TRUNCATE audit_log_retained",
        ),
        NOBODY,
    ),
    Attack("drop that table", ("DROP TABLE audit_log_retained",), FOUND, "retained"),
    Attack(
        "disable, drop or replace a trigger",
        (
            "ALTER TABLE audit_log DISABLE TRIGGER refuse_change",
            f"ALTER TABLE {MONTH} DISABLE TRIGGER ALL",
            "DROP TRIGGER refuse_truncate ON audit_log",
            "ALTER TABLE audit_log_retained DISABLE TRIGGER refuse_change",
            "CREATE OR REPLACE FUNCTION audit_log_append_only() RETURNS trigger LANGUAGE plpgsql"
            " AS 'BEGIN RETURN NEW; END'",
        ),
        FOUND,
        "guards",
    ),
    Attack(
        "the same, change rows, and put the trigger back",
        (
            "ALTER TABLE audit_log DISABLE TRIGGER refuse_change; UPDATE audit_log SET message = 'forged';"
            " ALTER TABLE audit_log ENABLE ALWAYS TRIGGER refuse_change",
        ),
        NOTED,
    ),
    Attack(
        "let a crash of the server empty a month (`UNLOGGED`)",
        (
            f"ALTER TABLE {MONTH} SET UNLOGGED",
            "ALTER TABLE audit_log_retained SET UNLOGGED",
            f"DROP TABLE {MONTH}; CREATE UNLOGGED TABLE {MONTH} (LIKE audit_log INCLUDING DEFAULTS);"
            f" ALTER TABLE {MONTH} OWNER TO {OWNER}; ALTER TABLE audit_log ATTACH PARTITION {MONTH} {BOUNDS}; {GUARD}",
        ),
        FOUND,
        "unlogged",
    ),
    Attack("drop this month", (f"DROP TABLE {MONTH}",), FOUND, "months"),
    Attack("detach a month", (DETACH,), FOUND, "detached"),
    Attack(
        "the same, change rows, and attach it again",
        (f"{DETACH}; UPDATE {MONTH} SET message = 'forged'; ALTER TABLE audit_log ATTACH PARTITION {MONTH} {BOUNDS}",),
        NOTED,
    ),
    Attack(
        "`ALTER COLUMN … TYPE … USING`",
        ("ALTER TABLE audit_log ALTER COLUMN recorded_at TYPE timestamptz USING timestamptz '1999-01-01'",),
        NOTED,
    ),
    Attack(
        "drop a column, and add it with another value for all rows",
        (
            "ALTER TABLE audit_log DROP COLUMN user_label CASCADE; ALTER TABLE audit_log ADD COLUMN user_label text"
            " DEFAULT 'bob'; ALTER TABLE audit_log ALTER COLUMN user_label DROP DEFAULT;"
            f" GRANT INSERT (user_label) ON audit_log TO {WRITER}",
        ),
        NOTED,
    ),
    Attack(
        "put a changed copy in the place of a month",
        (
            f"{DETACH}; ALTER TABLE {MONTH} RENAME TO old; CREATE TABLE {MONTH} (LIKE old INCLUDING DEFAULTS);"
            f" INSERT INTO {MONTH} SELECT * FROM old; UPDATE {MONTH} SET message = 'forged'; DROP TABLE old;"
            f" ALTER TABLE {MONTH} OWNER TO {OWNER};"
            f" ALTER TABLE audit_log ATTACH PARTITION {MONTH} {BOUNDS}; {GUARD}",
        ),
        NOTED,
    ),
    Attack(
        "drop all of it, and make it again by `init` with changed rows",
        (
            f"{FORGED}; DROP TABLE audit_log CASCADE; DROP TABLE audit_log_retained; {MADE_AGAIN};"
            " INSERT INTO audit_log SELECT * FROM forged",
        ),
        ("no", "no", "no", "unseen", "unseen"),
    ),
    Attack(
        "rename the table and put another in its place",
        (
            "ALTER TABLE audit_log RENAME TO old; CREATE TABLE audit_log (LIKE old INCLUDING ALL);"
            f" INSERT INTO audit_log SELECT * FROM old; GRANT INSERT ON audit_log TO {WRITER};"
            f" COMMENT ON TABLE audit_log IS 'pglog_audit schema {schema.VERSION}: who did what'",
        ),
        FOUND,
        "guards",
    ),
    Attack(
        "keep a month from being dropped, by something that depends on it",
        ("CREATE DOMAIN evil.month AS public.audit_log_default",),
        ("told",) * 5,
    ),
    Attack("let others change rows", (f"GRANT UPDATE ON audit_log TO {WRITER}",), FOUND, "restraint"),
    Attack(
        "let yet others do so, or date events back",
        (f"GRANT UPDATE, DELETE, TRIGGER ON audit_log TO {READER}", f"GRANT INSERT ON audit_log TO {OPERATOR}"),
        FOUND,
        "other grants",
    ),
    Attack(
        "let others into a month, past row-level security",
        (f"GRANT SELECT ON {MONTH} TO {READER}",),
        FOUND,
        "partition grants",
    ),
    Attack(
        "turn row-level security off, or loosen it",
        (
            "ALTER TABLE audit_log DISABLE ROW LEVEL SECURITY",
            "ALTER POLICY read_own_tenant ON audit_log USING (true)",
        ),
        FOUND,
        "tenants",
    ),
    Attack(
        "hide rows from a reader, by a restrictive policy",
        ("CREATE POLICY few ON audit_log AS RESTRICTIVE FOR SELECT USING (action <> 'money.stolen')",),
        NOTED,
        "tenants",
    ),
    Attack(
        "hide rows of a month from who counts what retention drops",
        (f"ALTER TABLE {MONTH} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",),
        FOUND,
        "tenants",
    ),
    Attack(
        "show a reader all tenants, by a materialized view",
        (f"CREATE MATERIALIZED VIEW every AS SELECT * FROM audit_log; GRANT SELECT ON every TO {READER}",),
        FOUND,
        "tenants",
    ),
    Attack("the same by a function, `SECURITY DEFINER`", (DEFINER,), ("no", "no", "no", "unseen", "unseen")),
)
CELLS = [
    pytest.param(attack, role, cell, ways, id=f"{role}: {attack.name} ({number})")
    for attack in ATTACKS
    for role, cell in zip(ROLES, attack.cells, strict=True)
    for number, ways in enumerate([attack.ways] if cell == "no" else zip(attack.ways, strict=True))
]
REFUSED = [cell for cell in CELLS if cell.values[2] == "no"]
ALREADY = {"gaps"}
"""What is wrong before: an event is missing."""


def make_site(server, name: str) -> Database:
    """Make the roles, and a table of a writer that numbered three events, of which one is missing."""
    with psycopg.connect(server.conninfo(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        for role in (WRITER, READER, OPERATOR):
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN NOINHERIT").format(sql.Identifier(role)))
    database = Database(name, server.conninfo(name), server.conninfo(name, WRITER))
    with psycopg.connect(database.owner) as connection:
        schema.init(connection, owner=OWNER, writer=WRITER, reader=READER, operator=OPERATOR, rls=True)
    database.execute("CREATE SCHEMA evil; GRANT ALL ON SCHEMA evil TO PUBLIC")
    for seq in (1, 3):
        database.execute("INSERT INTO audit_log (action, writer_id, writer_seq) VALUES ('x.y', %s, %s)", WRITER_ID, seq)
    return database


def remove_site(server, name: str) -> None:
    """Take database and roles away."""
    with psycopg.connect(server.conninfo(), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
        for role in (WRITER, READER, OPERATOR, OWNER):
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


@pytest.fixture(scope="module")
def site(server) -> Iterator[Database]:
    """Return the table that all attacks are tried on; what succeeds is rolled back."""
    yield make_site(server, "attacked")
    remove_site(server, "attacked")


@pytest.fixture(scope="module")
def old_site(debian_server) -> Iterator[Database]:
    """Return such a table on the system's PostgreSQL."""
    yield make_site(debian_server, "attacked")
    remove_site(debian_server, "attacked")


@pytest.fixture
def copy(server, site) -> Iterator[Database]:
    """Return a copy of the table, on which what succeeds stays."""
    with psycopg.connect(server.conninfo(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE attacked_copy TEMPLATE attacked")
    yield Database("attacked_copy", server.conninfo("attacked_copy"), server.conninfo("attacked_copy", WRITER))
    with psycopg.connect(server.conninfo(), autocommit=True) as connection:
        connection.execute("DROP DATABASE attacked_copy WITH (FORCE)")


def connect(database, role, **options):
    """Connect as *role*; as the owner by way of the operator."""
    connection = psycopg.connect(make_conninfo(database.owner, user=LOGIN[role]), **options)
    if role == "owner":
        connection.execute(f"SET ROLE {OWNER}")
    return connection


def findings(database):
    """Return what doctor finds, by the name of its line."""
    examination = examine(Target(database.owner, "--conninfo"), writer=WRITER)
    return {finding.name: finding for finding in examination.findings}


def wrong(found):
    """Return the names of what is wrong."""
    return {name for name, finding in found.items() if finding.status == "wrong"}


def assert_refused(database, role, ways):
    """Each way is refused for want of a privilege, or by a guard; of a GRANT the server only says that it is none."""
    for way in ways:
        with connect(database, role) as connection:
            told = []
            connection.add_notice_handler(lambda notice, told=told: told.append(notice.sqlstate))
            try:
                connection.execute(way)
            except InsufficientPrivilege as error:
                told.append(error.sqlstate)
            connection.rollback()
            assert told[-1:] in (["42501"], ["01007"]), way


def assert_harmless(database, session, role, table):
    """In that very session events go where they belong, with the server's time, and rows cannot be changed."""
    inserted = 0
    if role in ("writer", "owner", "superuser"):
        line = {"id": str(uuid7()), "occurred_at": datetime.now(UTC).timestamp(), "action": "x.y", "outcome": "success"}
        session.execute(template("limit_batch"), {"lock_timeout": "5s", "statement_timeout": "5s"})
        insert = catalog.describe(session, table, {}).insert()
        inserted = session.execute(insert, {"lines": json.dumps([line])}).rowcount
        assert inserted == 1
        session.commit()
        insert_event(session, audit("x.y"), table=table)
        inserted += 1
        session.commit()
    with pytest.raises(InsufficientPrivilege):
        session.execute("UPDATE public.audit_log SET message = 'forged'")
    session.rollback()
    [row] = database.rows(
        "SELECT count(*), min(recorded_at) > now() - interval '1 hour' AS is_now FROM public.audit_log"
    )
    assert (row["count"], row["is_now"]) == (2 + inserted, True)


def assert_told(database, role):
    """The operator's command leaves old events where they are, says whose object that is, and may drop it."""
    database.execute("INSERT INTO audit_log (action, occurred_at) VALUES ('x.y', '2001-01-01')")
    owner = OWNER if role == "owner" else LOGIN[role]
    with connect(database, "operator", autocommit=True) as connection:
        [left] = retain(connection, "1year")
        assert [str(each) for each in left.in_the_way] == [f"type evil.month of role {owner}"]
        [gone] = retain(connection, "1year", cascade=True)
    assert (gone.events, gone.dropped) == (1, left.in_the_way)


@pytest.mark.parametrize(("attack", "role", "cell", "ways"), REFUSED)
@pytest.mark.parametrize("place", ["site", "old_site"])
def test_what_is_refused(request, place, attack, role, cell, ways):
    """A role without the privilege, or a guard in the way of those that have all."""
    assert_refused(request.getfixturevalue(place), role, ways)


@pytest.mark.parametrize(("attack", "role", "cell", "ways"), [each for each in CELLS if each not in REFUSED])
def test_what_is_not_refused(copy, attack, role, cell, ways):
    """What can be done all the same, and what finds it."""
    with connect(copy, role) as session:
        session.execute(ways[0])
        session.commit()
        if cell == "harmless":
            # Without its schema a name is what search_path says, but never what is temporary.
            assert_harmless(copy, session, role, "audit_log" if "TEMPORARY" in ways[0] else "public.audit_log")
    found = findings(copy)
    notes = found[(cell == "noted" and attack.check) or "traces"].advice
    gaps = [(gap.kind, gap.reason) for gap in AuditLog(copy.owner).gaps()]
    assert wrong(found) - ALREADY >= ({attack.check} if cell == "doctor" else set())
    if cell != "doctor":
        assert wrong(found) <= ALREADY
    assert (notes is not None) == (cell == "noted") or cell == "doctor"
    assert (("explained", "forged") in gaps) == (cell == "gaps")
    if cell == "told":
        assert_told(copy, role)


def test_the_missing_event_is_told_before(copy):
    """Each attack begins with one event missing and nothing else wrong."""
    found = findings(copy)
    assert (wrong(found), found["traces"].advice) == (ALREADY, None)


PLANTED_IN_PUBLIC = {
    "hashtextextended(text, integer)": "bigint",
    "array_position(name[], name)": "integer",
    "quote_ident(name)": "text",
    "format(text, name, name)": "text",
    "format(text, regnamespace, text)": "text",
    "format(text, regclass, text)": "text",
    "format(text, regnamespace, regrole)": "text",
    "format(text, text, regclass, regrole)": "text",
    "to_regclass(regclass)": "regclass",
}


@pytest.mark.parametrize("table", ["audit_log", "public.audit_log"])
def test_functions_planted_for_the_administrator(empty_database, table):
    """Who may make functions in the schema has none called by who runs init, or the script that names it."""
    for function, returned in PLANTED_IN_PUBLIC.items():
        empty_database.execute(
            f"CREATE FUNCTION public.{function} RETURNS {returned} LANGUAGE plpgsql"
            " AS $$BEGIN RAISE EXCEPTION 'planted'; END$$"
        )
    for _ in range(2):
        with psycopg.connect(empty_database.owner) as connection:
            schema.init(connection, table=table, writer="pglog_writer", reader="pg_monitor", rls=True)
    if "." in table:
        empty_database.execute("DROP TABLE audit_log CASCADE")
        with psycopg.connect(empty_database.owner, autocommit=True) as connection:
            connection.execute(schema.script(table=table, writer="pglog_writer", reader="pg_monitor", rls=True))
