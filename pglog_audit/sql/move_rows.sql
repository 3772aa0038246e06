-- Insert rows of a time that lie in a detached partition into another one, each as it is.
INSERT INTO {partition} ({columns}) OVERRIDING SYSTEM VALUE
SELECT {columns} FROM {old}
WHERE occurred_at >= COALESCE(%(since)s::timestamptz, '-infinity')
  AND (%(until)s::timestamptz IS NULL OR occurred_at < %(until)s::timestamptz)
