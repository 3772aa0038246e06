-- The server's time, in seconds since the epoch.
SELECT EXTRACT(EPOCH FROM pg_catalog.clock_timestamp())::float8 AS seconds
