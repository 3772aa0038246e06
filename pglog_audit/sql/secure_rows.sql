-- Row-level security: whoever may insert does, and a reader sees the events of the tenant that its session names.
SET LOCAL pglog_audit.reader = {reader};
ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
DO $policies$
DECLARE
    events regclass := current_setting('pglog_audit.events');
    reader oid := quote_ident(current_setting('pglog_audit.reader'))::regrole;
    readers oid[] := (SELECT polroles FROM pg_policy WHERE polrelid = events AND polname = 'read_own_tenant');
    id_type text := (
        SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = events AND attname = 'tenant_id'
    );
BEGIN
    IF current_setting('server_version_num')::integer < 150000 THEN
        RAISE EXCEPTION 'row-level security needs PostgreSQL 15: before, a view shows what its owner may read'
            USING ERRCODE = 'feature_not_supported';
    END IF;
    -- What retention dropped has no tenant: with no policy there, no reader that is bound sees it.
    IF to_regclass(current_setting('pglog_audit.retained')) IS NOT NULL THEN
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', to_regclass(current_setting('pglog_audit.retained')));
    END IF;
    -- The grants say who may insert, and one writer writes the events of all tenants.
    IF EXISTS (SELECT FROM pg_policy WHERE polrelid = events AND polname = 'insert_events') THEN
        EXECUTE format('ALTER POLICY insert_events ON %s TO PUBLIC WITH CHECK (true)', events);
    ELSE
        EXECUTE format('CREATE POLICY insert_events ON %s FOR INSERT WITH CHECK (true)', events);
    END IF;
    IF readers IS NULL THEN
        -- Not set is NULL, and what SET LOCAL has set is empty afterwards: neither is any tenant.
        EXECUTE format(
            'CREATE POLICY read_own_tenant ON %s FOR SELECT TO %s'
            ' USING (tenant_id = nullif(current_setting(''pglog_audit.tenant'', true), '''')::%s)',
            events, reader::regrole, id_type
        );
    ELSIF NOT ARRAY[reader, 0] && readers THEN
        EXECUTE format(
            'ALTER POLICY read_own_tenant ON %s TO %s',
            events, (SELECT string_agg(given::regrole::text, ', ') FROM unnest(readers || reader) AS given)
        );
    END IF;
END
$policies$;
