-- The rows of a partition that maintain moves, those for whose time it makes none, and older ones; each counted up to a limit.
SELECT
    (
        SELECT pg_catalog.count(*)
        FROM (
            SELECT
            FROM {partition}
            WHERE {time} >= pg_catalog.to_timestamp(%(since)s) AND {time} < %(far)s
            LIMIT %(limit)s
        ) AS late
    ),
    (
        SELECT pg_catalog.count(*)
        FROM (SELECT FROM {partition} WHERE {time} >= %(far)s LIMIT %(limit)s) AS far
    ),
    (
        SELECT pg_catalog.count(*)
        FROM (SELECT FROM {partition} WHERE {time} < pg_catalog.to_timestamp(%(since)s) LIMIT %(limit)s) AS past
    )
