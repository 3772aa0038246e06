-- The table of that name, in the schema given or in the search path; a temporary one, perhaps another client's, never.
SELECT n.nspname, c.relname
-- Each name with its schema: the search path may have one where others make functions, operators and types.
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
CROSS JOIN LATERAL (
    SELECT pg_catalog.array_position(
        CASE
            WHEN %(schema)s::pg_catalog.text IS NULL THEN pg_catalog.current_schemas(false)
            ELSE ARRAY[%(schema)s::pg_catalog.name]
        END,
        n.nspname
    )
) AS place (number)
WHERE c.relname OPERATOR(pg_catalog.=) %(name)s::pg_catalog.name
  AND c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,f,v,m}'::pg_catalog."char"[])
  AND c.relpersistence OPERATOR(pg_catalog.<>) 't'::pg_catalog."char"
  AND place.number IS NOT NULL
ORDER BY place.number
LIMIT 1
