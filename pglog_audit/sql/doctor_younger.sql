-- The partitions that were made after the one that follows: the numbers of tables grow.
SELECT pg_catalog.format('%%I.%%I', n.nspname, c.relname) AS relation
FROM (
    SELECT i.inhrelid AS relid,
           t.ends = pg_catalog.lead(t.begins) OVER sequence
               AND i.inhrelid > pg_catalog.lead(i.inhrelid) OVER sequence AS is_younger
    FROM pg_catalog.pg_inherits AS i
    JOIN pg_catalog.pg_class AS p ON p.oid = i.inhrelid
    CROSS JOIN LATERAL (SELECT pg_catalog.pg_get_expr(p.relpartbound, p.oid) AS bound) AS b
    CROSS JOIN LATERAL (
        SELECT substring(b.bound FROM 'FROM [(]''([^'']+)''[)]')::timestamptz AS begins,
               substring(b.bound FROM 'TO [(]''([^'']+)''[)]')::timestamptz AS ends
    ) AS t
    WHERE i.inhparent = %(table)s AND b.bound LIKE 'FOR VALUES FROM%%'
    WINDOW sequence AS (ORDER BY t.begins)
) AS months
JOIN pg_catalog.pg_class AS c ON c.oid = months.relid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE months.is_younger
ORDER BY relation
