-- What a role needs to read a table or a view: SELECT on it, and nothing else.
GRANT SELECT ON TABLE {relation} TO {reader};
SET LOCAL pglog_audit.readable = {relation_name};
SET LOCAL pglog_audit.reader = {reader_name};
DO $grants$
DECLARE
    readable regclass := current_setting('pglog_audit.readable');
    reader regrole := quote_ident(current_setting('pglog_audit.reader'));
    namespace regnamespace := (SELECT relnamespace FROM pg_class WHERE oid = readable);
BEGIN
    IF NOT has_schema_privilege(reader, namespace, 'USAGE') THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %s TO %s', namespace, reader);
    END IF;

    -- Without the grant option GRANT gives a warning and no privilege.
    IF NOT has_schema_privilege(reader, namespace, 'USAGE') THEN
        RAISE EXCEPTION '% may not let % into schema %: who owns it runs GRANT USAGE ON SCHEMA % TO %, then init again',
            current_user, reader, namespace, namespace, reader USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF NOT has_table_privilege(reader, readable, 'SELECT') THEN
        RAISE EXCEPTION '% may not grant SELECT on % to %', current_user, readable, reader
            USING ERRCODE = 'insufficient_privilege';
    END IF;
END
$grants$;
