-- The schema that a table would be made in: the named one, else the first of search_path that exists; else no name.
SELECT (
    SELECT nspname
    FROM pg_catalog.pg_namespace
    WHERE nspname OPERATOR(pg_catalog.=)
        CASE WHEN %(schema)s::pg_catalog.text IS NULL THEN pg_catalog.current_schema() ELSE %(schema)s::pg_catalog.name END
)
