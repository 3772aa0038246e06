-- One change of the table at a time, by a lock that who may only read and insert cannot hold.
DO $lock$
DECLARE
    events regclass := to_regclass(current_setting('pglog_audit.events'));
BEGIN
    IF has_table_privilege(events, 'UPDATE, DELETE, TRUNCATE') THEN
        EXECUTE format('LOCK TABLE ONLY %s IN SHARE UPDATE EXCLUSIVE MODE', events);
    ELSE
        -- There is no table yet, or its owner took these privileges from itself: what is left is the lock of setups.
        PERFORM pg_advisory_xact_lock(hashtextextended('pglog_audit', 0::bigint));
    END IF;
END
$lock$;
