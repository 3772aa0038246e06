-- CHECK constraints of the table and its partitions, one row each though partitions repeat it.
WITH tree AS (
    SELECT %(table)s::oid AS relid
    UNION
    SELECT relid::oid FROM pg_catalog.pg_partition_tree(%(table)s::oid::regclass)
)
SELECT pg_catalog.format('%%I.%%I', n.nspname, c.relname) AS relation,
       pg_catalog.format('%%I', o.conname) AS constraint,
       pg_catalog.pg_get_constraintdef(o.oid) AS definition
FROM tree
JOIN pg_catalog.pg_constraint AS o ON o.conrelid = tree.relid
JOIN pg_catalog.pg_class AS c ON c.oid = o.conrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE o.contype = 'c' AND o.coninhcount = 0
ORDER BY relation, o.conname
