-- One change of the table at a time, which leaves a lock that it does not get to the writers; times carry their offset.
SET LOCAL lock_timeout = '1s';
SET LOCAL statement_timeout = 0;
SET LOCAL DateStyle = 'ISO';
SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('pglog_audit', 0::bigint));
SET LOCAL pglog_audit.events = {table};
