"""Who reads calls no function, operator or type that others planted where the search path finds it."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from click.testing import CliRunner
from psycopg.conninfo import make_conninfo
from psycopg_pool import ConnectionPool

from pglog_audit import AuditLog
from pglog_audit.cli.commands import cli

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
