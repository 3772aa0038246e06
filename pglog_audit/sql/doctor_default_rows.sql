-- The rows of a partition between two times, before and after them, each counted up to a limit: it may hold millions.
SELECT
    (
        SELECT pg_catalog.count(*)
        FROM (
            SELECT FROM {partition}
            WHERE {time} >= pg_catalog.to_timestamp(%(since)s) AND {time} < pg_catalog.to_timestamp(%(until)s)
            LIMIT %(limit)s
        ) AS late
    ),
    (
        SELECT pg_catalog.count(*)
        FROM (SELECT FROM {partition} WHERE {time} < pg_catalog.to_timestamp(%(since)s) LIMIT %(limit)s) AS past
    ),
    (
        SELECT pg_catalog.count(*)
        FROM (SELECT FROM {partition} WHERE {time} >= pg_catalog.to_timestamp(%(until)s) LIMIT %(limit)s) AS future
    )
