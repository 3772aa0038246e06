-- Deadlines of one batch, in milliseconds, and the default of what others of a pooler may have set; for its transaction alone.
SELECT
    pg_catalog.set_config('lock_timeout', %(lock_timeout)s, true),
    pg_catalog.set_config('statement_timeout', %(statement_timeout)s, true),
    pg_catalog.set_config('idle_in_transaction_session_timeout', %(statement_timeout)s, true),
    -- From 17 on; set to another time it would go on running as it is.
    CASE
        WHEN pg_catalog.current_setting('transaction_timeout', true) IS NOT NULL
        THEN pg_catalog.set_config('transaction_timeout', '0', true)
    END,
    pg_catalog.set_config('synchronous_commit', NULL, true),
    -- The catalog spells the columns' defaults for a path that has pg_catalog first, as where it is not named.
    pg_catalog.set_config(
        'search_path',
        pg_catalog.ltrim(
            pg_catalog.regexp_replace(
                pg_catalog.current_setting('search_path'), '(^|,) *("pg_catalog"|pg_catalog) *(?=,|$)', '', 'gi'
            ),
            ', '
        ),
        true
    )
