-- Until when whole partitions have been dropped.
SELECT pg_catalog.max(ends) AS ends FROM {retained} WHERE writer_id IS NULL
