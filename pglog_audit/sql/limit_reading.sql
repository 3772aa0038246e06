-- The time limit of a question, for its transaction alone.
SELECT pg_catalog.set_config('lock_timeout', %(timeout)s, true), pg_catalog.set_config('statement_timeout', %(timeout)s, true)
