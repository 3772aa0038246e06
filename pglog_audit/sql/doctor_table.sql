-- A relation: its kind, owner, comment and columns.
SELECT c.oid,
       c.relkind::text AS kind,
       n.nspname::text AS schema,
       pg_catalog.format('%%I.%%I', n.nspname, c.relname) AS name,
       c.relname::text AS bare_name,
       pg_catalog.pg_get_userbyid(c.relowner)::text AS owner,
       pg_catalog.obj_description(c.oid, 'pg_class') AS comment,
       ARRAY(
           SELECT attname::text
           FROM pg_catalog.pg_attribute
           WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped
       ) AS columns
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relname = %(name)s AND c.relkind IN ('r', 'p', 'f', 'v', 'm')
