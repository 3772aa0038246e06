-- The partitions of a table, oldest first: a bound that is not finite is NULL, as both are of the default partition.
SELECT n.nspname::text AS schema,
       c.relname::text AS name,
       bound = 'DEFAULT' AS is_default,
       CASE WHEN isfinite(begins) THEN begins END AS begins,
       CASE WHEN isfinite(ends) THEN ends END AS ends
FROM pg_catalog.pg_inherits AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (SELECT pg_catalog.pg_get_expr(c.relpartbound, c.oid) AS bound) AS b
CROSS JOIN LATERAL (
    SELECT substring(bound FROM 'FROM [(]''([^'']+)''[)]')::timestamptz AS begins,
           substring(bound FROM 'TO [(]''([^'']+)''[)]')::timestamptz AS ends
) AS t
WHERE i.inhparent = %(table)s
ORDER BY begins NULLS FIRST, name
