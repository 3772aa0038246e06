-- A change leaves a lock that it does not get to the writers, and reads times that carry their offset.
SET LOCAL lock_timeout = '1s';
SET LOCAL statement_timeout = 0;
SET LOCAL DateStyle = 'ISO';
SET LOCAL pglog_audit.events = {table};
