-- The months since a time that a partition holds rows of: the suffix of a name, and the bounds.
SELECT pg_catalog.to_char(month, 'YYYY_MM'),
       pg_catalog.to_char(month, 'YYYY-MM-DD"+00"'),
       pg_catalog.to_char(month + INTERVAL '1 month', 'YYYY-MM-DD"+00"')
FROM (
    SELECT DISTINCT pg_catalog.date_trunc('month', {time} AT TIME ZONE 'UTC') AS month
    FROM {partition}
    WHERE {time} >= pg_catalog.to_timestamp(%(since)s) AND pg_catalog.isfinite({time})
) AS months
ORDER BY month
