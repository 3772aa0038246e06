-- The schemas that have a relation of that name, wherever they are in the search path.
SELECT n.nspname
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relname = %(name)s AND c.relkind IN ('r', 'p', 'f', 'v', 'm') AND c.relpersistence <> 't'
ORDER BY n.nspname
