-- The search path is again what it was before setup.sql.
SELECT set_config('search_path', current_setting('pglog_audit.search_path'), true)
