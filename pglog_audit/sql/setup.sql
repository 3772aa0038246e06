-- The names that the rest uses, and an end to waiting for locks, unless the session has its own.
SELECT pg_catalog.set_config('pglog_audit.search_path', pg_catalog.current_setting('search_path'), true),
       pg_catalog.set_config('pglog_audit.lock_timeout', pg_catalog.current_setting('lock_timeout'), true);
SELECT pg_catalog.set_config('lock_timeout', '1min', true)
WHERE pg_catalog.current_setting('lock_timeout') OPERATOR(pg_catalog.=) '0'::pg_catalog.text;
SET LOCAL pglog_audit.events = {table};
SET LOCAL pglog_audit.prefix = {prefix};
