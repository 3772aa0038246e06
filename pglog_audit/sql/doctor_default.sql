-- The default partition, whether this role may read it, and since when (epoch) its rows should lie in a month.
SELECT n.nspname::text AS schema,
       c.relname::text AS name,
       pg_catalog.has_table_privilege(c.oid, 'SELECT') AS readable,
       EXTRACT(
           EPOCH FROM LEAST(
               pg_catalog.date_trunc(%(unit)s, pg_catalog.now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC',
               (
                   SELECT pg_catalog.min(substring(b.bound FROM 'FROM [(]''([^'']+)''[)]')::timestamptz)
                   FROM pg_catalog.pg_inherits AS i
                   JOIN pg_catalog.pg_class AS m ON m.oid = i.inhrelid
                   CROSS JOIN LATERAL (SELECT pg_catalog.pg_get_expr(m.relpartbound, m.oid) AS bound) AS b
                   WHERE i.inhparent = p.partrelid
               )
           )
       )::float8 AS since
FROM pg_catalog.pg_partitioned_table AS p
JOIN pg_catalog.pg_class AS c ON c.oid = p.partdefid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE p.partrelid = %(table)s
