-- How many rows of a time a partition has.
SELECT count(*) AS count
FROM {partition}
WHERE occurred_at >= COALESCE(%(since)s::timestamptz, '-infinity')
  AND (%(until)s::timestamptz IS NULL OR occurred_at < %(until)s::timestamptz)
