-- The rows of a partition, counted up to a limit: it may hold millions.
SELECT pg_catalog.count(*) AS rows
FROM (SELECT FROM {partition} LIMIT %(limit)s) AS counted
