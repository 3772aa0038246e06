-- The unique indexes and exclusion constraints, of table and partitions, but for those over the row's id or a number.
WITH tree AS (
    SELECT %(table)s::oid AS relid
    UNION
    SELECT relid::oid FROM pg_catalog.pg_partition_tree(%(table)s::oid::regclass)
)
SELECT pg_catalog.format('%%I.%%I', n.nspname, i.relname) AS index,
       pg_catalog.format('%%I.%%I', n.nspname, c.relname) AS relation,
       pg_catalog.quote_ident(o.conname) AS constraint
FROM tree
JOIN pg_catalog.pg_index AS x ON x.indrelid = tree.relid
JOIN pg_catalog.pg_class AS i ON i.oid = x.indexrelid
JOIN pg_catalog.pg_class AS c ON c.oid = x.indrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_constraint AS o ON o.conindid = x.indexrelid AND o.conrelid = x.indrelid
                                       AND o.contype IN ('p', 'u', 'x')
WHERE (x.indisunique OR x.indisexclusion)
  -- What a partition has from the table is told there.
  AND NOT i.relispartition
  AND NOT EXISTS (
      SELECT
      FROM pg_catalog.pg_attribute AS a
      LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
      WHERE a.attrelid = x.indrelid AND a.attnum = ANY (x.indkey::int2[])
        AND (
            a.attname = %(id)s OR a.attidentity <> ''
            OR pg_catalog.starts_with(pg_catalog.pg_get_expr(d.adbin, d.adrelid), 'nextval(')
        )
  )
ORDER BY relation, index
