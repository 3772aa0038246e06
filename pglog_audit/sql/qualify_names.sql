-- For the rest of the transaction a name without a schema is PostgreSQL's own, and the catalog spells all others with theirs.
SELECT pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true)
