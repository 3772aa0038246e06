-- The default partition, and whether this role may read it; no row if there is none.
SELECT n.nspname::text AS schema, c.relname::text AS name, pg_catalog.has_table_privilege(c.oid, 'SELECT') AS readable
FROM pg_catalog.pg_partitioned_table AS p
JOIN pg_catalog.pg_class AS c ON c.oid = p.partdefid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE p.partrelid = %(table)s
