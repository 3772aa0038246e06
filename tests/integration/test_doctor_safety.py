"""What doctor must not run: code that others have left where a superuser's doctor would find it."""

import psycopg
import pytest

from pglog_audit import SchemaError, schema
from pglog_audit.maintenance import maintain
from pglog_audit.retention import retain
from pglog_audit.upgrade import upgrade
from tests.integration.test_doctor import WRITER, find, wrong

OWNER = "pglog_doctor_planter"
RISE = """
    CREATE FUNCTION public.rise() RETURNS void LANGUAGE plpgsql AS
        $$BEGIN RESET ROLE; ALTER ROLE pglog_doctor_planter SUPERUSER; EXCEPTION WHEN OTHERS THEN NULL; END$$;
    CREATE FUNCTION public.harmless(integer) RETURNS boolean LANGUAGE plpgsql AS
        $$BEGIN PERFORM nextval('public.calls'), public.rise(); RETURN true; END$$;
    CREATE FUNCTION public.harmless() RETURNS trigger LANGUAGE plpgsql AS
        $$BEGIN PERFORM public.harmless(1); RETURN NULL; END$$;
"""
PLANTED = {
    "ALTER TABLE audit_log ADD CHECK (public.harmless(1)) NOT VALID": "CONSTRAINT audit_log_check ON public.audit_log",
    "CREATE TRIGGER a AFTER INSERT ON audit_log FOR EACH ROW EXECUTE FUNCTION harmless()": "TRIGGER a ON",
    "CREATE TRIGGER a AFTER INSERT ON audit_log EXECUTE FUNCTION harmless()": "TRIGGER a ON",
    "CREATE TRIGGER refuse_more BEFORE INSERT ON audit_log_default FOR EACH ROW EXECUTE FUNCTION harmless()": (
        "TRIGGER refuse_more ON public.audit_log_default"
    ),
    "ALTER TABLE audit_log ADD COLUMN mine boolean; ALTER TABLE audit_log ALTER mine SET DEFAULT harmless(1)": (
        "DEFAULT OF mine"
    ),
    "CREATE DOMAIN odd AS text CHECK (harmless(1)); ALTER TABLE audit_log ADD COLUMN mine odd": "TYPE OF mine",
    "ALTER FUNCTION harmless(integer) IMMUTABLE; CREATE INDEX odd ON audit_log (harmless(writer_seq::int))": (
        "INDEX odd ON public.audit_log"
    ),
    "CREATE DOMAIN odd AS text CHECK (harmless(1)); CREATE INDEX odd ON audit_log ((action::odd))": (
        "INDEX odd ON public.audit_log"
    ),
    "CREATE POLICY odd ON audit_log FOR INSERT WITH CHECK (harmless(1)); ALTER TABLE audit_log ENABLE ROW LEVEL"
    " SECURITY": "POLICY odd ON public.audit_log",
    "CREATE RULE odd AS ON INSERT TO audit_log DO ALSO SELECT harmless(1)": "RULE odd ON public.audit_log",
}


@pytest.fixture
def owned(any_database):
    """Return a database whose table belongs to a role that has functions of its own there, and counts their calls."""
    any_database.execute(f"CREATE ROLE {OWNER}; GRANT CREATE ON SCHEMA public TO {OWNER}")
    any_database.execute(f"DO $$BEGIN IF to_regrole('{WRITER}') IS NULL THEN CREATE ROLE {WRITER} LOGIN; END IF; END$$")
    with psycopg.connect(any_database.owner) as connection:
        schema.init(connection, owner=OWNER, writer=WRITER)
    any_database.execute(
        f"CREATE SEQUENCE public.calls; GRANT USAGE ON SEQUENCE calls TO PUBLIC; {RISE}"
        f"ALTER FUNCTION harmless(integer) OWNER TO {OWNER}"
    )
    yield any_database
    any_database.execute(f"DROP OWNED BY {OWNER} CASCADE; DROP ROLE {OWNER}")


def assert_not_called(database):
    """No function was called, in whatever transaction: a sequence is not rolled back."""
    assert not database.rows("SELECT is_called FROM public.calls")[0]["is_called"]


@pytest.mark.parametrize("statement", PLANTED)
def test_code_of_the_owners_is_not_run_by_a_superuser(owned, statement):
    """The row that proves the insert is not tried: the code could take all rights of the session, by RESET ROLE."""
    owned.execute(f"SET ROLE {OWNER}; {statement}")
    found = find(owned)["insert"]
    assert found.status == "hidden"
    assert PLANTED[statement] in found.text
    assert "with the rights of postgres" in found.text
    assert_not_called(owned)


@pytest.mark.parametrize("change", [maintain, upgrade, lambda connection: list(retain(connection, "1day"))])
def test_code_of_the_owners_is_not_run_by_upkeep(owned, change):
    """A superuser changes no table of another's: what may run there is more than can be looked for."""
    owned.execute("INSERT INTO audit_log (action, occurred_at) VALUES ('a.b', '2001-01-01')")
    owned.execute("CREATE TRIGGER a AFTER INSERT ON audit_log FOR EACH STATEMENT EXECUTE FUNCTION harmless()")
    told = f'"postgres" is a superuser, and "{OWNER}", which owns public.audit_log, is none'
    with psycopg.connect(owned.owner, autocommit=True) as connection, pytest.raises(SchemaError, match=told):
        change(connection)
    assert_not_called(owned)


def test_a_cast_of_the_owners_is_not_run_by_gaps(owned):
    """What a column's own type may run for whoever reads it is not for a superuser's doctor."""
    owned.execute("CREATE TYPE public.lab AS ENUM ('a')")
    owned.execute(f"ALTER TYPE lab OWNER TO {OWNER}; DROP VIEW audit_timeline")
    owned.execute("ALTER TABLE audit_log ALTER service TYPE lab USING 'a'")
    found = find(owned)["gaps"]
    assert (found.status, found.text.partition(" ON ")[0]) == ("hidden", "not read: TYPE OF service")


def test_the_writer_itself_tries(owned):
    """Its own rights are all that there is to take."""
    owned.execute("CREATE TRIGGER a AFTER INSERT ON audit_log FOR EACH ROW EXECUTE FUNCTION harmless()")
    assert find(owned, owned.writer, writer=None)["insert"].status == "ok"


def test_what_init_made_is_tried(owned):
    """A superuser's doctor proves the insert where nothing was planted, also with columns of one's own."""
    owned.execute("ALTER TABLE audit_log ADD COLUMN n serial, ADD COLUMN amount int NOT NULL DEFAULT 0")
    for column in (
        "t timestamptz DEFAULT now()",
        "v varchar(9) DEFAULT 'x'",
        "b bigint DEFAULT 7",
        "d date DEFAULT CURRENT_DATE",
    ):
        owned.execute(f"ALTER TABLE audit_log ADD COLUMN {column}")
    owned.execute(f"GRANT INSERT (n, amount) ON audit_log TO {WRITER}; GRANT USAGE ON audit_log_n_seq TO {WRITER}")
    assert find(owned)["insert"].status == "ok"


def test_a_view_in_the_place_of_the_table_is_not_read(owned):
    """A comment does not make it a table of ours."""
    owned.execute(
        f"SET ROLE {OWNER}; ALTER TABLE audit_log RENAME TO old;"
        " CREATE VIEW audit_log AS SELECT * FROM old WHERE harmless(1);"
        f" COMMENT ON VIEW audit_log IS 'pglog_audit schema {schema.VERSION}, monthly partitions: who did what, when'"
    )
    assert wrong(find(owned)) == ["table"]
    assert_not_called(owned)


@pytest.mark.parametrize("path", ["public", "public, pg_catalog"])
def test_functions_planted_in_the_search_path(database, path):
    """A better match for a call without a schema, or one that comes first, is not called."""
    planted = {
        "to_jsonb(record)": "jsonb",
        "json_to_recordset(text)": "SETOF record",
        "set_config(text, text, boolean)": "text",
        "current_setting(text)": "text",
        "lag(bigint)": "bigint",
        "date_trunc(text, timestamp)": "timestamp",
        "pg_get_expr(pg_node_tree, oid)": "text",
    }
    for function, returned in planted.items():
        database.execute(
            f"CREATE FUNCTION public.{function} RETURNS {returned} LANGUAGE plpgsql"
            " AS $$BEGIN RAISE EXCEPTION 'planted'; END$$"
        )
    database.execute(
        "CREATE FUNCTION public.same(name, name) RETURNS boolean LANGUAGE plpgsql"
        " AS $$BEGIN RAISE EXCEPTION 'planted'; END$$;"
        "CREATE OPERATOR public.= (FUNCTION = public.same, LEFTARG = name, RIGHTARG = name)"
    )
    database.execute("INSERT INTO audit_log (action, writer_id, writer_seq) VALUES ('a.b', gen_random_uuid(), 2)")
    database.execute(f"ALTER DATABASE {database.name} SET search_path = {path}")
    findings = find(database)
    assert wrong(findings) == ["gaps"]
    assert "1 event is missing" in findings["gaps"].text


def test_a_trigger_finds_what_the_writers_path_leads_to(database):
    """The insert is proved with the path of the connection, not with that of the examination."""
    database.execute(
        "CREATE TABLE seen (action text); GRANT INSERT ON seen TO PUBLIC;"
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql"
        " AS 'BEGIN INSERT INTO seen VALUES (NEW.action); RETURN NEW; END';"
        "CREATE TRIGGER note BEFORE INSERT ON audit_log FOR EACH ROW EXECUTE FUNCTION note()"
    )
    assert find(database)["insert"].status == "ok"
