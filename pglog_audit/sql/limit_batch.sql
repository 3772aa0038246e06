-- Deadlines of one batch, in milliseconds, and the default of what others of a pooler may have set; for its transaction alone.
SELECT
    set_config('lock_timeout', %(lock_timeout)s, true),
    set_config('statement_timeout', %(statement_timeout)s, true),
    set_config('idle_in_transaction_session_timeout', %(statement_timeout)s, true),
    -- From 17 on; set to another time it would go on running as it is.
    CASE WHEN current_setting('transaction_timeout', true) IS NOT NULL THEN set_config('transaction_timeout', '0', true) END,
    set_config('synchronous_commit', NULL, true)
