-- Deadlines of one batch, in milliseconds, for its transaction alone: a pooler hands the session to others. One of these
-- may have turned synchronous_commit off for the session that we share; NULL is the default.
SELECT
    set_config('lock_timeout', %(lock_timeout)s, true),
    set_config('statement_timeout', %(statement_timeout)s, true),
    set_config('synchronous_commit', NULL, true)
