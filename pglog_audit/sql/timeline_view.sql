-- The table for people who ask in SQL.
CREATE VIEW {view} AS
{events};

COMMENT ON VIEW {view} IS
    'pglog_audit: who did what, for people; say ORDER BY occurred_at DESC, and bound occurred_at to read few months';
COMMENT ON COLUMN {view}.occurred_at IS
    'when it happened, by the application''s clock; timestamptz, shown in the session''s time zone';
COMMENT ON COLUMN {view}.who IS 'who acted: the name as it was then, else user_id';
COMMENT ON COLUMN {view}.action IS 'what was done, as entity.verb: branding.update';
COMMENT ON COLUMN {view}.entity_type IS 'the kind of thing acted on';
COMMENT ON COLUMN {view}.target IS 'the thing acted on: its name as it was then, else target_id';
COMMENT ON COLUMN {view}.outcome IS 'success, failure, denied or unknown';
COMMENT ON COLUMN {view}.message IS 'the log call''s own sentence';
COMMENT ON COLUMN {view}.changes IS 'what changed: {{"field": [old, new]}}';
COMMENT ON COLUMN {view}.metadata IS 'small, free-form facts';
COMMENT ON COLUMN {view}.event_id IS 'the hosted event that the action sits under; not the row''s identity';
COMMENT ON COLUMN {view}.user_id IS 'who acted';
COMMENT ON COLUMN {view}.target_id IS 'the thing acted on';
COMMENT ON COLUMN {view}.tenant_id IS 'the tenant that it belongs to';
COMMENT ON COLUMN {view}.impersonator_id IS 'the real person behind user_id';
COMMENT ON COLUMN {view}.request_id IS 'the request that caused it';
COMMENT ON COLUMN {view}.source_ip IS 'the client''s address';
COMMENT ON COLUMN {view}.user_agent IS 'the client''s program';
COMMENT ON COLUMN {view}.trace_id IS 'the distributed trace';
COMMENT ON COLUMN {view}.service IS 'the application, where one table serves several';
COMMENT ON COLUMN {view}.id IS 'the row''s identity';

SET LOCAL pglog_audit.view = {view_name};
DO $view$
DECLARE
    view regclass := current_setting('pglog_audit.view');
    owner regrole := (SELECT relowner FROM pg_class WHERE oid = current_setting('pglog_audit.events')::regclass);
    statement text;
BEGIN
    -- From 15 on the reader's own privileges and row-level policies hold; before, the owner's.
    IF current_setting('server_version_num')::integer >= 150000 THEN
        EXECUTE format('ALTER VIEW %s SET (security_invoker = true)', view);
    END IF;
    FOR statement IN
        -- Default privileges (ALTER DEFAULT PRIVILEGES) may have given the new view away.
        SELECT DISTINCT format(
            'REVOKE ALL ON TABLE %s FROM %s', view, CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END
        )
        FROM pg_class CROSS JOIN LATERAL aclexplode(relacl)
        WHERE oid = view AND grantee <> relowner
        UNION ALL
        SELECT format('ALTER VIEW %s OWNER TO %s', view, owner)
        FROM pg_class
        WHERE oid = view AND relowner <> owner
    LOOP
        EXECUTE statement;
    END LOOP;
END
$view$;
