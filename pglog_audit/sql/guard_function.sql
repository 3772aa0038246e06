-- The function that the guards of a table call, or shall call where none is as init makes it.
SELECT pg_catalog.format('%%I.%%I', n.nspname, COALESCE(p.proname, %(name)s)) AS name, p.oid IS NOT NULL AS is_whole
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_proc AS p
  ON p.pronamespace = n.oid AND p.pronargs = 0 AND p.prosrc = %(body)s
 AND p.prorettype = 'pg_catalog.trigger'::regtype
WHERE c.oid = %(table)s
ORDER BY EXISTS (SELECT FROM pg_catalog.pg_trigger AS t WHERE t.tgrelid = c.oid AND t.tgfoid = p.oid) DESC,
         p.proname = %(name)s DESC
LIMIT 1
