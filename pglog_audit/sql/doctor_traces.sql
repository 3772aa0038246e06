-- What the catalog remembers: triggers made or changed after their table, partitions written anew, and changed columns.
SELECT COALESCE(pg_catalog.bool_or(t.xmin <> made.xmin), false) AS is_touched,
       -- Only a table that is written anew, by ALTER TABLE, TRUNCATE, VACUUM FULL or CLUSTER, gets another file.
       c.relkind = 'r' AND c.relfilenode <> c.oid AS is_rewritten,
       EXISTS (
           SELECT
           FROM pg_catalog.pg_attribute AS a
           WHERE a.attrelid = c.oid AND a.attnum > 0
             -- Rows of before have the default of a column that was added later, without being written.
             AND (a.attisdropped OR (a.atthasmissing AND a.attname = ANY (%(ours)s::text[])))
       ) AS is_recast,
       pg_catalog.format('%%I.%%I', n.nspname, c.relname) AS relation
FROM pg_catalog.pg_partition_tree(%(table)s::oid::regclass) AS tree
JOIN pg_catalog.pg_class AS c ON c.oid = tree.relid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
-- The row of a system column is written with the table, and never again.
JOIN pg_catalog.pg_attribute AS made ON made.attrelid = c.oid AND made.attname = 'ctid'
LEFT JOIN pg_catalog.pg_trigger AS t ON t.tgrelid = c.oid AND t.tgname IN ('refuse_change', 'refuse_truncate')
GROUP BY tree.level, c.oid, c.relkind, c.relfilenode, c.relname, n.nspname
ORDER BY tree.level, relation
