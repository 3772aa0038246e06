-- The partitions from the current one on that are not there, and the default partition.
DO $partitions$
DECLARE
    parent regclass := current_setting('pglog_audit.events');
    namespace regnamespace := (SELECT relnamespace FROM pg_class WHERE oid = parent);
    owner regrole := (SELECT relowner FROM pg_class WHERE oid = parent);
    prefix text := current_setting('pglog_audit.prefix');
    guard text := format('%s.%I', namespace, prefix || '_append_only');
    first timestamp := date_trunc({unit}, now() AT TIME ZONE 'UTC');
    suffix text;
    bounds text;
    partition text;
    statement text;
BEGIN
    FOR suffix, bounds IN
        SELECT to_char(begins, {suffix}),
               format('FOR VALUES FROM (%L) TO (%L)', begins || '+00', begins + {step}::interval || '+00')
        FROM generate_series(first, first + {ahead} * {step}::interval, {step}::interval) AS begins
        UNION ALL
        SELECT '_default', 'DEFAULT'
    LOOP
        partition := format('%s.%I', namespace, prefix || suffix);
        CONTINUE WHEN EXISTS (SELECT FROM pg_inherits WHERE inhparent = parent AND inhrelid = to_regclass(partition));
        IF to_regclass(partition) IS NOT NULL THEN
            RAISE EXCEPTION '% is in the way: a partition of % shall have that name; rename it and run this again',
                partition, parent USING ERRCODE = 'duplicate_table';
        END IF;
        EXECUTE format(
            'CREATE TABLE %s (LIKE %s INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED INCLUDING STORAGE)',
            partition, parent
        );
        -- A superuser's scheduler shall not keep what belongs to the owner of the table.
        IF owner <> (SELECT relowner FROM pg_class WHERE oid = to_regclass(partition)) THEN
            EXECUTE format('ALTER TABLE %s OWNER TO %s', partition, owner);
        END IF;
        EXECUTE format('ALTER TABLE %s ATTACH PARTITION %s %s', parent, partition, bounds);
        EXECUTE format(
            'CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION %s()',
            partition, guard
        );
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER refuse_truncate', partition);
        FOR statement IN
            -- Default privileges (ALTER DEFAULT PRIVILEGES) may have given the new table away.
            SELECT DISTINCT format(
                'REVOKE ALL ON TABLE %s FROM %s',
                oid::regclass, CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END
            )
            FROM pg_class CROSS JOIN LATERAL aclexplode(relacl)
            WHERE oid = to_regclass(partition) AND grantee <> relowner
        LOOP
            EXECUTE statement;
        END LOOP;
    END LOOP;
END
$partitions$;
