-- The search path for the rest of the transaction: with pg_catalog alone, the catalog spells each name with its schema.
SELECT pg_catalog.set_config('search_path', %(path)s, true)
