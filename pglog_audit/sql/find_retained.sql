-- The schema and name of the table, of ours, of what retention dropped of a table; no row if there is none.
SELECT n.nspname::text, c.relname::text
FROM pg_catalog.pg_class AS parent
JOIN pg_catalog.pg_class AS c ON c.relnamespace = parent.relnamespace
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE parent.oid = pg_catalog.to_regclass(%(table)s) AND c.relname = %(name)s AND c.relkind = 'r'
  AND c.relowner = parent.relowner
  AND pg_catalog.starts_with(pg_catalog.obj_description(c.oid, 'pg_class'), 'pglog_audit: what retention')
