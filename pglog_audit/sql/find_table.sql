-- The table of that name in this session's search path (or in the schema given): never a temporary one of the session's.
SELECT n.nspname, c.relname
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relname = %(name)s
  AND c.relkind IN ('r', 'p', 'f', 'v')
  AND n.nspname = ANY (CASE WHEN %(schema)s::text IS NULL THEN current_schemas(false) ELSE ARRAY[%(schema)s::name] END)
ORDER BY array_position(current_schemas(false), n.nspname)
LIMIT 1
