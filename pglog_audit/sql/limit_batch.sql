-- Deadlines of one batch, in milliseconds, and the default of what another client of a pooler may have set, for this transaction.
SELECT
    set_config('lock_timeout', %(lock_timeout)s, true),
    set_config('statement_timeout', %(statement_timeout)s, true),
    set_config('synchronous_commit', NULL, true)
