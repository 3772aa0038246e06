-- The search path, as it was set, and the database's encoding.
SELECT pg_catalog.current_setting('search_path'), pg_catalog.current_setting('server_encoding')
