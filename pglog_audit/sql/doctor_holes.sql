-- The times before now that lie between two partitions and have none of their own.
SELECT pg_catalog.to_char(hole.begin AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS begin,
       pg_catalog.to_char(hole.finish AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS finish
FROM (
    SELECT pg_catalog.lag(pg_catalog.upper(times)) OVER (ORDER BY times) AS begin, pg_catalog.lower(times) AS finish
    FROM (
        SELECT pg_catalog.unnest(
            pg_catalog.range_agg(
                pg_catalog.tstzrange(
                    substring(b.bound FROM 'FROM [(]''([^'']+)''[)]')::timestamptz,
                    substring(b.bound FROM 'TO [(]''([^'']+)''[)]')::timestamptz
                )
            )
        ) AS times
        FROM pg_catalog.pg_inherits AS i
        JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid
        CROSS JOIN LATERAL (SELECT pg_catalog.pg_get_expr(c.relpartbound, c.oid) AS bound) AS b
        WHERE i.inhparent = %(table)s AND b.bound LIKE 'FOR VALUES FROM%%'
    ) AS covered
) AS hole
WHERE hole.begin < pg_catalog.now()
ORDER BY hole.begin
