-- What a role needs to write events: INSERT on the columns that a client may set, and nothing else of the table.
SET LOCAL pglog_audit.writer = {writer};
DO $grants$
DECLARE
    events regclass := current_setting('pglog_audit.events');
    writer regrole := quote_ident(current_setting('pglog_audit.writer'));
    namespace regnamespace := (SELECT relnamespace FROM pg_class WHERE oid = events);
    statement text;
BEGIN
    FOR statement IN
        SELECT format('GRANT USAGE ON SCHEMA %s TO %s', namespace, writer)
        WHERE NOT has_schema_privilege(writer, namespace, 'USAGE')
        UNION ALL
        SELECT format(
            'GRANT INSERT (%s) ON TABLE %s TO %s',
            string_agg(quote_ident(attname), ', ' ORDER BY attnum), events, writer
        )
        FROM pg_attribute
        WHERE attrelid = events AND attnum > 0 AND NOT attisdropped
          AND attgenerated = '' AND attidentity = '' AND attname <> 'recorded_at'
        UNION ALL
        -- A default that calls nextval() needs the sequence.
        SELECT format('GRANT USAGE ON SEQUENCE %s TO %s', refobjid::regclass, writer)
        FROM pg_attrdef
        JOIN pg_depend ON classid = 'pg_attrdef'::regclass AND objid = pg_attrdef.oid
        JOIN pg_class ON refclassid = 'pg_class'::regclass AND refobjid = pg_class.oid AND relkind = 'S'
        WHERE adrelid = events
    LOOP
        EXECUTE statement;
    END LOOP;

    -- Without the grant option GRANT gives a warning and no privilege.
    IF NOT has_schema_privilege(writer, namespace, 'USAGE') THEN
        RAISE EXCEPTION '% may not let % into schema %: who owns it runs GRANT USAGE ON SCHEMA % TO %, then init again',
            current_user, writer, namespace, namespace, writer USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF NOT has_column_privilege(writer, events, 'action', 'INSERT') THEN
        RAISE EXCEPTION '% may not grant INSERT on % to %', current_user, events, writer
            USING ERRCODE = 'insufficient_privilege';
    END IF;
END
$grants$;
