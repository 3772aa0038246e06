-- How many whole months, days or years after this one have partitions without a gap; -1 if this one has none.
WITH bounds AS (
    SELECT pg_catalog.pg_get_expr(c.relpartbound, c.oid) AS bound
    FROM pg_catalog.pg_inherits AS i
    JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid
    WHERE i.inhparent = %(table)s
),
covered AS MATERIALIZED (
    SELECT pg_catalog.range_agg(
        pg_catalog.tstzrange(
            substring(bound FROM 'FROM [(]''([^'']+)''[)]')::timestamptz,
            substring(bound FROM 'TO [(]''([^'']+)''[)]')::timestamptz
        )
    ) AS times
    FROM bounds
    WHERE bound LIKE 'FOR VALUES FROM%%'
)
SELECT COALESCE(
    (
        SELECT pg_catalog.min(n)
        FROM pg_catalog.generate_series(0, 1200) AS n
        CROSS JOIN LATERAL (
            SELECT pg_catalog.date_trunc(%(unit)s, pg_catalog.now() AT TIME ZONE 'UTC') + n * %(step)s::interval
        ) AS this (begins)
        WHERE (
            SELECT times @> pg_catalog.tstzrange(begins AT TIME ZONE 'UTC', (begins + %(step)s::interval) AT TIME ZONE 'UTC')
            FROM covered
        ) IS NOT TRUE
    ),
    1201
) - 1 AS ahead
