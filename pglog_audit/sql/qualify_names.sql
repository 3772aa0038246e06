-- For the rest of the transaction the catalog spells every name with its schema: the insert may run under another path.
SELECT set_config('search_path', 'pg_catalog', true)
