-- The search path as it was set, and the schemas that it leads to; called by their full names, since the path is not ours.
SELECT pg_catalog.current_setting('search_path') AS path, pg_catalog.current_schemas(false) AS schemas
