-- The periods of a length, between two times, that a partition holds rows of.
SELECT DISTINCT pg_catalog.date_trunc(%(unit)s, occurred_at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS begins
FROM {partition}
WHERE occurred_at >= %(since)s AND occurred_at < %(until)s
ORDER BY begins
