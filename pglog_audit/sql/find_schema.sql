-- The schema that a table would be made in: the named one, else the first of search_path that exists; else no name.
SELECT (
    SELECT nspname FROM pg_namespace WHERE nspname = coalesce(%(schema)s::text, current_schema())
)
