-- Take back what default privileges (ALTER DEFAULT PRIVILEGES) may have given of a new table.
SET LOCAL pglog_audit.made = {relation_name};
DO $revoke$
DECLARE
    made regclass := current_setting('pglog_audit.made');
    statement text;
BEGIN
    FOR statement IN
        SELECT DISTINCT format(
            'REVOKE ALL ON TABLE %s FROM %s', made, CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END
        )
        FROM pg_class CROSS JOIN LATERAL aclexplode(relacl)
        WHERE oid = made AND grantee <> relowner
    LOOP
        EXECUTE statement;
    END LOOP;
END
$revoke$;
