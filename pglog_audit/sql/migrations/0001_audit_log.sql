-- The table of schema 1: columns, indexes and guards.
CREATE TABLE {table} (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    occurred_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- By bytes: only so does an index find all actions that begin with "branding.".
    action text COLLATE "C" NOT NULL,
    outcome text NOT NULL DEFAULT 'success',
    user_id {user_id},
    user_label text,
    event_id {event_id},
    entity_type text,
    target_id {target_id},
    target_label text,
    message text,
    changes jsonb,
    metadata jsonb NOT NULL DEFAULT '{{}}',
    request_id text,
    tenant_id {tenant_id},
    impersonator_id {impersonator_id},
    source_ip inet,
    user_agent text,
    trace_id text,
    service text,
    writer_id uuid,
    writer_seq bigint,
    CONSTRAINT {primary_key} PRIMARY KEY (id, occurred_at)
) PARTITION BY RANGE (occurred_at);

COMMENT ON TABLE {table} IS 'pglog_audit schema 1: who did what, when; append-only, one row an action';
COMMENT ON COLUMN {table}.id IS 'the row: a UUIDv7 from the writer, so that a line sent twice makes one row';
COMMENT ON COLUMN {table}.occurred_at IS 'when it happened, by the application''s clock';
COMMENT ON COLUMN {table}.recorded_at IS 'when this server stored it; no writer may set it';
COMMENT ON COLUMN {table}.action IS 'what was done, as entity.verb: branding.update';
COMMENT ON COLUMN {table}.outcome IS 'success, failure, denied or unknown';
COMMENT ON COLUMN {table}.user_id IS 'who acted';
COMMENT ON COLUMN {table}.user_label IS 'the user''s name as it was then';
COMMENT ON COLUMN {table}.event_id IS 'the hosted event that the action sits under; not the row''s identity';
COMMENT ON COLUMN {table}.entity_type IS 'the kind of thing acted on';
COMMENT ON COLUMN {table}.target_id IS 'the thing acted on';
COMMENT ON COLUMN {table}.target_label IS 'the target''s name as it was then';
COMMENT ON COLUMN {table}.message IS 'the log call''s own sentence';
COMMENT ON COLUMN {table}.changes IS 'what changed: {{"field": [old, new]}}';
COMMENT ON COLUMN {table}.metadata IS 'small, free-form facts without secrets; keys that begin with _ are the library''s';
COMMENT ON COLUMN {table}.request_id IS 'the request that caused it';
COMMENT ON COLUMN {table}.tenant_id IS 'the tenant that it belongs to';
COMMENT ON COLUMN {table}.impersonator_id IS 'the real person behind user_id';
COMMENT ON COLUMN {table}.source_ip IS 'the client''s address';
COMMENT ON COLUMN {table}.user_agent IS 'the client''s program';
COMMENT ON COLUMN {table}.trace_id IS 'the distributed trace';
COMMENT ON COLUMN {table}.service IS 'the application, where one table serves several';
COMMENT ON COLUMN {table}.writer_id IS 'the process that wrote it';
COMMENT ON COLUMN {table}.writer_seq IS 'its number among that writer''s lines, without gaps';

-- Read backwards they give newest first; written in this order they grow at their right end and stay dense.
-- Without the id, which only orders events of one moment: keys a third shorter, and the sort that is left is of a few rows.
CREATE INDEX {newest} ON {table} (occurred_at);
CREATE INDEX {by_event} ON {table} (event_id, occurred_at) WHERE event_id IS NOT NULL;
CREATE INDEX {by_user} ON {table} (user_id, occurred_at) WHERE user_id IS NOT NULL;
CREATE INDEX {by_target} ON {table} (target_id, occurred_at) WHERE target_id IS NOT NULL;
CREATE INDEX {by_entity} ON {table} (entity_type, occurred_at) WHERE entity_type IS NOT NULL;
CREATE INDEX {by_action} ON {table} (action, occurred_at);
CREATE INDEX {by_tenant} ON {table} (tenant_id, occurred_at) WHERE tenant_id IS NOT NULL;
-- A request causes few events: they are sorted when they are asked for, and share one key in the index.
CREATE INDEX {by_request} ON {table} (request_id) WHERE request_id IS NOT NULL;
-- Success is what nearly every row says; to look for it is to read newest.
CREATE INDEX {by_outcome} ON {table} (occurred_at) WHERE outcome <> 'success';

CREATE OR REPLACE FUNCTION {guard}() RETURNS trigger LANGUAGE plpgsql AS $guard$
BEGIN
    RAISE EXCEPTION '%.% is append-only: % is refused', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege',
              HINT = 'Correct an event with a further event; old events go with their whole partition.';
END
$guard$;
-- A function of that name may have been there, and its owner could change it again.
ALTER FUNCTION {guard}() OWNER TO CURRENT_USER;
REVOKE ALL ON FUNCTION {guard}() FROM PUBLIC;

-- ALWAYS: session_replication_role = replica skips plain triggers.
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION {guard}();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION {guard}();
ALTER TABLE {table} ENABLE ALWAYS TRIGGER refuse_change, ENABLE ALWAYS TRIGGER refuse_truncate;

{revoke_given}
