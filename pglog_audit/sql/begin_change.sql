-- A change leaves a lock that it does not get to the writers, takes its time, and reads times that carry their offset.
SET LOCAL lock_timeout = '1s';
SET LOCAL statement_timeout = 0;
SET LOCAL idle_in_transaction_session_timeout = 0;
-- From PostgreSQL 17 on.
SELECT set_config('transaction_timeout', '0', true) WHERE current_setting('transaction_timeout', true) IS NOT NULL;
-- Where the owner itself would be shown only some rows, an error must come of it: the others would be dropped.
SET LOCAL row_security = off;
SET LOCAL DateStyle = 'ISO';
SET LOCAL pglog_audit.events = {table};
