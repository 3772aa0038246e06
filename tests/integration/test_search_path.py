"""Who reads or writes calls no function, operator or type that others planted where the search path finds it."""

from datetime import UTC, date, datetime, timedelta
from ipaddress import ip_address
from uuid import UUID

import psycopg
import pytest
from click.testing import CliRunner
from psycopg.conninfo import make_conninfo
from psycopg_pool import ConnectionPool

from pglog_audit import AuditLog, audit, insert_event
from pglog_audit.cli.commands import cli
from pglog_audit.doctor import Target, examine
from pglog_audit.errors import SchemaError
from tests.support import assert_exact, configure, flush, stats

WRITER = "019cae1f-95b9-7d30-a1c4-6f0b6f6a3c51"
ID = "01a20bd2-2f6c-73cc-be33-53b8ac4079dd"
SINCE = datetime.now(UTC) - timedelta(days=1)
COMMANDS = {
    "gaps": ["gaps", "--since", "1d"],
    "gaps of one": ["gaps", "--writer", WRITER],
    "timeline": ["timeline", "--user", ID, "--action", "a.*", "--since", "1d", "--limit", "1"],
    "timeline of denied": ["timeline", "--outcome", "denied", "--outcome", "success"],
    "show": ["show", ID],
}
BETTER = """
    CREATE FUNCTION public.to_jsonb(record) RETURNS jsonb LANGUAGE plpgsql AS $$BEGIN RAISE 'caught'; END$$;
    CREATE FUNCTION public.caught(bigint, bigint) RETURNS bigint LANGUAGE plpgsql AS $$BEGIN RAISE 'caught'; END$$;
    CREATE AGGREGATE public.lag(bigint) (sfunc = caught, stype = bigint, initcond = '0');
    CREATE FUNCTION public.caught(bigint, integer) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE 'caught'; END$$;
    CREATE OPERATOR public.>= (leftarg = bigint, rightarg = integer, function = caught);
"""
THE_SAME = """
    DO $do$
    DECLARE
        each record;
    BEGIN
        FOR each IN
            SELECT proname, string_agg(format_type(type, NULL), ', ' ORDER BY number) AS types,
                   format_type(prorettype, NULL) AS result
            FROM pg_proc, unnest(proargtypes) WITH ORDINALITY AS argument (type, number)
            WHERE proname IN (
                'current_schemas', 'array_position', 'set_config', 'current_setting', 'starts_with', 'to_regclass',
                'obj_description', 'pg_get_expr', 'left', 'texteq', 'nameeq', 'oideq', 'uuid_eq', 'timestamptz_ge',
                'timestamptz_le', 'timestamptz_lt', 'int2gt', 'chareq', 'charne', 'jsonb_object_field_text'
            ) AND prokind = 'f' AND prorettype <> 'anyelement'::regtype
            GROUP BY pg_proc.oid
        LOOP
            EXECUTE format(
                'CREATE FUNCTION evil.%I(%s) RETURNS %s LANGUAGE plpgsql AS $$BEGIN RAISE ''caught''; END$$',
                each.proname, each.types, each.result
            );
        END LOOP;
        FOR each IN
            SELECT oprname, oprleft::regtype AS first, oprright::regtype AS second, planted.proname
            FROM pg_operator
            JOIN pg_proc AS theirs ON theirs.oid = oprcode
            JOIN pg_proc AS planted USING (proname, proargtypes)
            WHERE planted.pronamespace = 'evil'::regnamespace AND oprleft <> 0
        LOOP
            EXECUTE format(
                'CREATE OPERATOR evil.%s (leftarg = %s, rightarg = %s, function = evil.%I)',
                each.oprname, each.first, each.second, each.proname
            );
        END LOOP;
    END
    $do$;
    CREATE FUNCTION evil.caught(text) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE 'caught'; END$$;
    CREATE DOMAIN evil.text AS pg_catalog.text CHECK (evil.caught(value));
    CREATE DOMAIN evil.jsonb AS pg_catalog.jsonb CHECK (evil.caught(value::text));
    CREATE DOMAIN evil.timestamptz AS pg_catalog.timestamptz CHECK (evil.caught(value::text));
    CREATE DOMAIN evil.name AS pg_catalog.name CHECK (evil.caught(value::text));
    CREATE DOMAIN evil.uuid AS pg_catalog.uuid CHECK (evil.caught(value::text));
    CREATE DOMAIN evil.inet AS pg_catalog.inet CHECK (evil.caught(value::text));
    CREATE DOMAIN evil.float8 AS pg_catalog.float8 CHECK (evil.caught(value::text));
    CREATE DOMAIN evil.int8 AS pg_catalog.int8 CHECK (evil.caught(value::text));
    CREATE DOMAIN evil.date AS pg_catalog.varchar;
"""
DEFAULTS = """
    ALTER TABLE audit_log ADD day date DEFAULT '2026-03-02'::date, ADD days date[], ADD made timestamptz DEFAULT now();
    CREATE FUNCTION evil.now() RETURNS timestamptz LANGUAGE plpgsql AS $$BEGIN RAISE 'caught'; END$$;
    GRANT INSERT ON audit_log TO pglog_writer;
    GRANT USAGE ON SCHEMA evil TO pglog_writer;
"""


@pytest.fixture
def trapped(database):
    """Return a database in which everybody may make functions, and somebody has."""
    database.execute("CREATE SCHEMA evil")
    with psycopg.connect(database.owner, autocommit=True) as connection:
        connection.execute(BETTER)
        connection.execute(THE_SAME)
    for seq in (1, 3):
        database.execute(
            "INSERT INTO audit_log (id, action, writer_id, writer_seq, user_id)"
            " SELECT CASE %s::int WHEN 1 THEN %s ELSE gen_random_uuid() END, 'a.b', %s, %s::int, %s",
            *(seq, ID, WRITER, seq, ID),
        )
    return database


@pytest.mark.parametrize("path", ["public", "evil, public, pg_catalog"])
@pytest.mark.parametrize("command", COMMANDS)
def test_commands_call_nothing_that_was_planted(trapped, path, command):
    """Neither what fits better, nor what stands before PostgreSQL's own."""
    conninfo = make_conninfo(trapped.owner, options=f"-c search_path={path.replace(' ', '')}")
    result = CliRunner().invoke(cli, [*COMMANDS[command], "--conninfo", conninfo])
    assert "caught" not in result.output
    assert result.exit_code == (1 if command.startswith("gaps") else 0), result.output


@pytest.mark.parametrize("table", ["audit_log", "public.audit_log"])
def test_a_pools_connections_keep_their_path(trapped, table):
    """The path is another one while the log reads, and that of the application afterwards."""
    path = "evil, public, pg_catalog"
    with ConnectionPool(trapped.owner, min_size=1, max_size=1, open=True) as pool:
        with pool.connection() as connection:
            connection.execute("SELECT pg_catalog.set_config('search_path', %s, false)", [path])
        log = AuditLog(pool=pool, table=table)
        assert [gap.kind for gap in log.gaps(since=SINCE)] == ["unexplained", "tail"]
        page = log.timeline(user_id=ID, action="a.*", since=SINCE, limit=1)
        assert len(log.timeline(user_id=ID, limit=1, cursor=page.next_cursor)) == 1
        assert log.event(ID) is not None
        with pool.connection() as connection:
            assert connection.execute("SHOW search_path").fetchone() == (path,)


@pytest.fixture
def trapped_writer(trapped):
    """Return the database with columns of the user's own, and the writer's path through what was planted."""
    with psycopg.connect(trapped.owner, autocommit=True) as connection:
        connection.execute(DEFAULTS)
        connection.execute(f"ALTER DATABASE {trapped.name} SET search_path = evil, public, pg_catalog")
    return trapped


def written(database):
    """Return what the last event holds."""
    [*_, row] = database.rows(
        "SELECT * FROM public.audit_log WHERE action OPERATOR(pg_catalog.=) 'order.place' ORDER BY recorded_at"
    )
    return row["user_id"], row["outcome"], row["source_ip"], row["metadata"], row["day"], row["days"]


@pytest.mark.parametrize("table", ["audit_log", "public.audit_log"])
def test_the_writer_calls_nothing_that_was_planted(trapped_writer, table):
    """Its rows are whole: each type, operator and default is what it was when the table was made."""
    event = audit("order.place", user_id=ID, source_ip="::1", metadata={"n": 1}, shop="Graz", days=["2026-01-02"])
    day, days = date(2026, 3, 2), [date(2026, 1, 2)]
    expected = (UUID(ID), "success", ip_address("::1"), {"n": 1, "shop": "Graz"}, day, days)
    logger = configure(trapped_writer.writer, table=table)
    logger.info("Placed", extra=event)
    flush(logger)
    assert stats(logger)["last_error"] is None
    assert written(trapped_writer) == expected
    with psycopg.connect(trapped_writer.writer) as connection:
        insert_event(connection, event, table=table)
    assert written(trapped_writer) == expected
    findings = {each.name: each for each in examine(Target(trapped_writer.writer, "", table)).findings}
    assert findings["insert"].status == "ok"


def test_a_writer_without_its_table_calls_nothing_that_was_planted(trapped_writer):
    """It looks for the table elsewhere, and says where it is."""
    trapped_writer.execute("ALTER TABLE public.audit_log SET SCHEMA evil; ALTER TABLE evil.audit_log RENAME TO log")
    trapped_writer.execute("CREATE SCHEMA hidden; CREATE TABLE hidden.audit_log (action pg_catalog.text)")
    with (
        psycopg.connect(trapped_writer.writer) as connection,
        pytest.raises(SchemaError, match=r"one in schema hidden"),
    ):
        insert_event(connection, audit("order.place"))


@pytest.mark.parametrize(
    "path", ["app, public", "app, pg_catalog, public", 'app,"pg_catalog",public', '"app",PG_CATALOG,public']
)
def test_a_trigger_has_the_writers_path(database, path):
    """Behind PostgreSQL's own names there are those of the role, as in any statement of its; so a default."""
    database.execute(
        "CREATE SCHEMA app; CREATE TABLE app.seen (action text); GRANT USAGE ON SCHEMA app TO PUBLIC;"
        "GRANT INSERT ON app.seen TO PUBLIC;"
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql"
        " AS 'BEGIN INSERT INTO seen VALUES (NEW.action); NEW.message := current_schema(); RETURN NEW; END';"
        "ALTER TABLE audit_log ADD made_in text DEFAULT current_schema();"
        "CREATE TRIGGER note BEFORE INSERT ON audit_log FOR EACH ROW EXECUTE FUNCTION note();"
        f"ALTER DATABASE {database.name} SET search_path = {path}"
    )
    logger = configure(database.writer)
    logger.info("Placed", extra=audit("order.place"))
    flush(logger)
    assert database.rows("SELECT action FROM app.seen WHERE action = 'order.place'") == [{"action": "order.place"}]
    [row] = database.rows("SELECT message, made_in FROM public.audit_log WHERE action = 'order.place'")
    assert (row["message"], row["made_in"]) == ("app", "app")


@pytest.mark.parametrize("path", ["", '""', "evil", "pg_temp,evil"])
def test_any_path_will_do(database, path):
    """Also none."""
    conninfo = make_conninfo(database.writer, options=f"-c search_path={path}")
    logger = configure(conninfo, table="public.audit_log")
    logger.info("Placed", extra=audit("order.place"))
    flush(logger)
    assert stats(logger)["last_error"] is None
    assert_exact(database, 1)


def test_maintenance_calls_nothing_that_was_planted(trapped_writer):
    """Who maintains the table has rights that others would like to have."""
    for command in (["maintain"], ["retain", "--keep", "24months"]):
        result = CliRunner().invoke(cli, [*command, "--conninfo", trapped_writer.owner])
        assert "caught" not in result.output
        assert result.exit_code == 0, result.output
