-- The session is the role again that it was, and gives back the membership that prepare_roles.sql lent it.
DO $leave$
BEGIN
    PERFORM set_config('role', current_setting('pglog_audit.role'), true);
    IF current_setting('pglog_audit.lent') = 'on' THEN
        EXECUTE format('REVOKE %I FROM CURRENT_USER', current_setting('pglog_audit.owner'));
    END IF;
END
$leave$;
