-- Deadlines of one batch, in milliseconds, and the default of what others of a pooler may have set; for its transaction alone.
SELECT
    set_config('lock_timeout', %(lock_timeout)s, true),
    set_config('statement_timeout', %(statement_timeout)s, true),
    set_config('synchronous_commit', NULL, true)
