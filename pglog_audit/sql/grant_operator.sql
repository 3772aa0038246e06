-- What a role needs to maintain the table: it may act as the owner, and nothing else.
SET LOCAL pglog_audit.operator = {operator};
DO $operator$
DECLARE
    owner regrole := (SELECT relowner FROM pg_class WHERE oid = current_setting('pglog_audit.events')::regclass);
    operator regrole := quote_ident(current_setting('pglog_audit.operator'));
    -- From 16 on it can be kept from having the owner's rights without saying SET ROLE.
    can_choose boolean := current_setting('server_version_num')::integer >= 160000;
BEGIN
    IF NOT pg_has_role(operator, owner, CASE WHEN can_choose THEN 'SET' ELSE 'MEMBER' END) THEN
        EXECUTE format('GRANT %s TO %s', owner, operator) || CASE WHEN can_choose THEN ' WITH INHERIT FALSE' ELSE '' END;
    END IF;
END
$operator$;
