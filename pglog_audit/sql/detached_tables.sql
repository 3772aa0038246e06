-- The tables that retention took from a table and has not dropped; of its owner, so that nobody else can name one.
SELECT nspname::text AS schema,
       t.relname::text AS name,
       (mark ->> 'begins')::timestamptz AS begins,
       (mark ->> 'ends')::timestamptz AS ends
FROM pg_catalog.pg_class AS parent
JOIN pg_catalog.pg_namespace AS n ON n.oid = parent.relnamespace
JOIN pg_catalog.pg_class AS t ON t.relnamespace = parent.relnamespace AND t.relowner = parent.relowner
CROSS JOIN LATERAL (
    SELECT substring(pg_catalog.obj_description(t.oid, 'pg_class') FROM '^pglog_audit retain ([{].*[}])$')::jsonb AS mark
) AS m
WHERE parent.oid = %(table)s AND t.relkind IN ('r', 'p') AND NOT t.relispartition AND mark ->> 'table' = parent.relname
ORDER BY begins NULLS FIRST
