-- The relation that a name stands for: its names, owner, comment, security and columns; no row if there is none.
SELECT pg_class.oid AS oid,
       nspname::text AS schema,
       relname::text AS table,
       format('%%I.%%I', nspname, relname) AS name,
       relowner AS owner,
       obj_description(pg_class.oid, 'pg_class') AS comment,
       relrowsecurity AND EXISTS (
           SELECT FROM pg_policy WHERE polrelid = pg_class.oid AND polname = 'read_own_tenant'
       ) AS rls,
       (
           SELECT jsonb_object_agg(attname, format_type(atttypid, NULL))
           FROM pg_attribute
           WHERE attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped
       ) AS columns,
       EXISTS (
           SELECT FROM pg_attribute JOIN pg_type ON pg_type.oid = atttypid
           WHERE attrelid = pg_class.oid AND attname = 'action' AND typcategory = 'S'
       ) AS takes_action
FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE pg_class.oid = to_regclass(%(table)s) AND relkind IN ('r', 'p', 'v', 'f')
