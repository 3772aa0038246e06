-- The rows of a partition since a time and before it, each counted up to a limit: it may hold millions.
SELECT
    (
        SELECT pg_catalog.count(*)
        FROM (SELECT FROM {partition} WHERE {time} >= pg_catalog.to_timestamp(%(since)s) LIMIT %(limit)s) AS late
    ),
    (
        SELECT pg_catalog.count(*)
        FROM (SELECT FROM {partition} WHERE {time} < pg_catalog.to_timestamp(%(since)s) LIMIT %(limit)s) AS past
    )
