-- The server's time.
SELECT pg_catalog.now() AS now
