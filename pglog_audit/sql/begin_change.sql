-- One change of the table at a time, which gives up a lock that it does not get and leaves it to the writers.
SET LOCAL lock_timeout = '1s';
SET LOCAL statement_timeout = 0;
SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('pglog_audit', 0::bigint));
SET LOCAL pglog_audit.events = {table};
