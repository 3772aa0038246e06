-- Publications that send rows of the table by the names of its partitions, however they came to have these.
SELECT DISTINCT pg_catalog.format('%%I', p.pubname) AS name
FROM pg_catalog.pg_partition_tree(%(table)s::oid::regclass) AS tree
JOIN pg_catalog.pg_class AS c ON c.oid = tree.relid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_publication_tables AS t ON t.schemaname = n.nspname AND t.tablename = c.relname
JOIN pg_catalog.pg_publication AS p ON p.pubname = t.pubname
WHERE tree.relid <> %(table)s::oid AND p.pubinsert
ORDER BY name
