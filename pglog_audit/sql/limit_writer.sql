-- How long a writer's statements wait for locks and run in this database, unless somebody has said it for them.
SET LOCAL pglog_audit.writer = {writer};
SET LOCAL pglog_audit.limits_writer = 'on';
DO $limits$
DECLARE
    writer oid := quote_ident(current_setting('pglog_audit.writer'))::regrole;
    setting text;
    value text;
BEGIN
    FOR setting, value IN
        SELECT given.name, given.value
        FROM (VALUES ('lock_timeout', '5s'), ('statement_timeout', '60s')) AS given (name, value)
        WHERE NOT EXISTS (
            SELECT FROM pg_db_role_setting CROSS JOIN unnest(setconfig) AS known
            WHERE setrole IN (0, writer)
              AND setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
              AND starts_with(known, given.name || '=')
        )
        AND NOT EXISTS (
            SELECT FROM pg_settings
            WHERE pg_settings.name = given.name AND source IN ('configuration file', 'command line') AND reset_val <> '0'
        )
    LOOP
        EXECUTE format('ALTER ROLE %s IN DATABASE %I SET %s = %L', writer::regrole, current_database(), setting, value);
    END LOOP;
EXCEPTION WHEN insufficient_privilege THEN
    -- The table is whole without them, and each batch brings its own.
    PERFORM set_config('pglog_audit.limits_writer', 'off', true);
    RAISE NOTICE '% may not set lock_timeout and statement_timeout of %', current_user, writer::regrole;
END
$limits$;
