-- The table of that name, in the schema given or in the search path; a temporary one, perhaps another client's, never.
SELECT n.nspname, c.relname
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relname = %(name)s
  AND c.relkind IN ('r', 'p', 'f', 'v', 'm') AND c.relpersistence <> 't'
  AND n.nspname = ANY (CASE WHEN %(schema)s::text IS NULL THEN pg_catalog.current_schemas(false) ELSE ARRAY[%(schema)s::name] END)
ORDER BY pg_catalog.array_position(pg_catalog.current_schemas(false), n.nspname)
LIMIT 1
