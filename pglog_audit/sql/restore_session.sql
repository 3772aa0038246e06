-- The search path and the lock timeout are again what they were before setup.sql.
SELECT pg_catalog.set_config('search_path', pg_catalog.current_setting('pglog_audit.search_path'), true),
       pg_catalog.set_config('lock_timeout', pg_catalog.current_setting('pglog_audit.lock_timeout'), true)
