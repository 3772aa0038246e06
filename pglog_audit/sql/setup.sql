-- One setup at a time, and the names that its blocks use.
SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('pglog_audit', 0::bigint));
SELECT pg_catalog.set_config('pglog_audit.search_path', pg_catalog.current_setting('search_path'), true);
SET LOCAL pglog_audit.events = {table};
SET LOCAL pglog_audit.prefix = {prefix};
