-- One setup at a time, also where there is no table yet.
SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('pglog_audit', 0::bigint));
