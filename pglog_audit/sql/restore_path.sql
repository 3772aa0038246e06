-- The search path is again what it was before setup.sql.
SELECT pg_catalog.set_config('search_path', pg_catalog.current_setting('pglog_audit.search_path'), true)
