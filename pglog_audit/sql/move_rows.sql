-- Insert rows that lie in a detached partition again, each as it is.
INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE
SELECT {columns} FROM {old}
WHERE occurred_at >= COALESCE(%(since)s::timestamptz, '-infinity')
