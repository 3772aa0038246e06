-- One setup at a time, and the names that its blocks use.
SELECT pg_advisory_xact_lock(hashtextextended('pglog_audit', 0));
SET LOCAL pglog_audit.events = {table};
SET LOCAL pglog_audit.prefix = {prefix};
