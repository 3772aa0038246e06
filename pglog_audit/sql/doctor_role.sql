-- What a role may do with the table; no row if there is no such role.
SELECT pg_catalog.format('%%I', r.rolname) AS name,
       r.rolsuper AS is_superuser,
       c.relowner = r.oid AS is_owner,
       pg_catalog.pg_has_role(r.oid, c.relowner, 'MEMBER') AS is_member,
       pg_catalog.format('%%I', n.nspname) AS schema,
       pg_catalog.pg_has_role(r.oid, n.nspowner, 'MEMBER') AS owns_schema,
       pg_catalog.has_schema_privilege(r.oid, n.oid, 'CREATE') AS may_create,
       pg_catalog.has_schema_privilege(r.oid, n.oid, 'USAGE') AS has_usage,
       ARRAY(
           SELECT a.attname::text
           FROM pg_catalog.pg_attribute AS a
           WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
             AND a.attgenerated = '' AND a.attidentity = '' AND a.attname <> 'recorded_at'
             AND (%(columns)s::text[] IS NULL OR a.attname = ANY (%(columns)s::text[]))
             AND NOT pg_catalog.has_column_privilege(r.oid, c.oid, a.attnum, 'INSERT')
           ORDER BY a.attnum
       ) AS closed_columns,
       ARRAY(
           SELECT DISTINCT pg_catalog.format('%%I.%%I', sn.nspname, s.relname)
           FROM pg_catalog.pg_attrdef AS d
           JOIN pg_catalog.pg_depend AS p ON p.classid = 'pg_catalog.pg_attrdef'::regclass AND p.objid = d.oid
           JOIN pg_catalog.pg_class AS s
             ON p.refclassid = 'pg_catalog.pg_class'::regclass AND p.refobjid = s.oid
           JOIN pg_catalog.pg_namespace AS sn ON sn.oid = s.relnamespace
           -- CASE: what is no sequence must not be asked about, in whatever order the conditions are met.
           WHERE d.adrelid = c.oid
             AND CASE s.relkind WHEN 'S' THEN NOT pg_catalog.has_sequence_privilege(r.oid, s.oid, 'USAGE') ELSE false END
       ) AS closed_sequences,
       ARRAY(
           SELECT privilege
           FROM pg_catalog.unnest(ARRAY['UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS privilege
           WHERE pg_catalog.has_table_privilege(r.oid, c.oid, privilege)
              OR (privilege IN ('UPDATE', 'REFERENCES') AND pg_catalog.has_any_column_privilege(r.oid, c.oid, privilege))
       ) AS excess,
       pg_catalog.has_any_column_privilege(r.oid, c.oid, 'INSERT') AS may_insert,
       pg_catalog.has_any_column_privilege(r.oid, c.oid, 'SELECT') AS may_read,
       EXISTS (
           SELECT
           FROM pg_catalog.pg_attribute AS a
           WHERE a.attrelid = c.oid AND a.attname = 'recorded_at' AND NOT a.attisdropped
             AND pg_catalog.has_column_privilege(r.oid, c.oid, a.attnum, 'INSERT')
       ) AS may_set_recorded_at
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_roles AS r ON r.rolname = %(role)s
WHERE c.oid = %(table)s
