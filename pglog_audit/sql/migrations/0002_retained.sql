-- What retention has dropped, kept for good; and in the table's comment how long its partitions are.

-- IF NOT EXISTS: it outlives a table that is dropped, and says the same of the next one.
CREATE TABLE IF NOT EXISTS {retained} (
    partition text NOT NULL,
    begins timestamptz NOT NULL,
    ends timestamptz NOT NULL,
    events bigint NOT NULL,
    writer_id uuid,
    claim jsonb,
    retained_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    retained_by text NOT NULL DEFAULT session_user
);

SET LOCAL pglog_audit.made = {retained_name};
DO $owner$
DECLARE
    made regclass := current_setting('pglog_audit.made');
    events regclass := current_setting('pglog_audit.events');
    holder regrole := (SELECT relowner FROM pg_class WHERE oid = made);
    owner regrole := (SELECT relowner FROM pg_class WHERE oid = events);
BEGIN
    IF holder NOT IN (owner, quote_ident(current_user)::regrole) THEN
        -- Its triggers would run as the owner.
        RAISE EXCEPTION '% belongs to %, and the audit table to %: rename it, or give it to that role', made, holder, owner
            USING ERRCODE = 'insufficient_privilege';
    ELSIF holder <> owner THEN
        EXECUTE format('ALTER TABLE %s OWNER TO %s', made, owner);
    END IF;
    IF (SELECT relrowsecurity FROM pg_class WHERE oid = events) THEN
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', made);
    END IF;
END
$owner$;

COMMENT ON TABLE {retained} IS 'pglog_audit: what retention has dropped, so that gaps explains it and no partition comes back';
COMMENT ON COLUMN {retained}.partition IS 'the partition that was dropped, or of the default partition what was too old';
COMMENT ON COLUMN {retained}.begins IS 'events of this time or later';
COMMENT ON COLUMN {retained}.ends IS 'events before this time';
COMMENT ON COLUMN {retained}.events IS 'how many: of the whole partition, or of one writer';
COMMENT ON COLUMN {retained}.writer_id IS 'the process whose numbers went; NULL in the row of the whole partition';
COMMENT ON COLUMN {retained}.claim IS 'which numbers, as a row audit.gap says it: reason, ranges, count';
COMMENT ON COLUMN {retained}.retained_at IS 'when they were dropped';
COMMENT ON COLUMN {retained}.retained_by IS 'the role that had connected to do it';

CREATE INDEX IF NOT EXISTS {retained_by_writer} ON {retained} (writer_id);

CREATE OR REPLACE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON {retained} FOR EACH ROW EXECUTE FUNCTION {guard}();
CREATE OR REPLACE TRIGGER refuse_truncate BEFORE TRUNCATE ON {retained} FOR EACH STATEMENT EXECUTE FUNCTION {guard}();
ALTER TABLE {retained} ENABLE ALWAYS TRIGGER refuse_change, ENABLE ALWAYS TRIGGER refuse_truncate;

{revoke_given}

DO $grants$
DECLARE
    statement text;
BEGIN
    FOR statement IN
        -- Who may read the events may know which are gone.
        SELECT DISTINCT format(
            'GRANT SELECT ON TABLE %s TO %s',
            current_setting('pglog_audit.made'), CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END
        )
        FROM pg_class CROSS JOIN LATERAL aclexplode(relacl)
        WHERE oid = current_setting('pglog_audit.events')::regclass AND privilege_type = 'SELECT' AND grantee <> relowner
    LOOP
        EXECUTE statement;
    END LOOP;
END
$grants$;

COMMENT ON TABLE {table} IS {comment};
