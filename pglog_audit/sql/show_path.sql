-- The search path, as it was set.
SELECT pg_catalog.current_setting('search_path')
