-- The demo's schema and all its events, gone.
DROP SCHEMA {schema} CASCADE
