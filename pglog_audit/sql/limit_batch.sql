-- Deadlines of one batch, in milliseconds, for its transaction alone: a pooler hands the session to others.
SELECT set_config('lock_timeout', %(lock_timeout)s, true), set_config('statement_timeout', %(statement_timeout)s, true)
