-- Which of the table's partitions, and whether what it has retained, are UNLOGGED; the table itself holds no rows.
SELECT pg_catalog.format('%%I.%%I', n.nspname, c.relname) AS relation
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relpersistence = 'u' AND c.relkind <> 'p' AND (
    c.oid = %(table)s::oid
    OR c.oid IN (SELECT relid FROM pg_catalog.pg_partition_tree(%(table)s::oid::regclass))
    OR (
        c.relname = %(retained)s
        AND c.relnamespace = (SELECT relnamespace FROM pg_catalog.pg_class WHERE oid = %(table)s::oid)
    )
)
ORDER BY relation
