-- The view beside the table: its name, whether init has left its comment, and whether it shows what the packaged one does.
SELECT pg_catalog.format('%%I.%%I', n.nspname, v.relname) AS name,
       pg_catalog.starts_with(pg_catalog.obj_description(v.oid, 'pg_class'), 'pglog_audit:') IS TRUE AS is_ours,
       pg_catalog.pg_get_viewdef(v.oid) = pg_catalog.pg_get_viewdef(
           pg_catalog.to_regclass('pg_temp.' || pg_catalog.quote_ident(%(packaged)s))::oid
       ) IS TRUE AS is_whole
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_class AS v ON v.relnamespace = c.relnamespace AND v.relname = %(view)s
JOIN pg_catalog.pg_namespace AS n ON n.oid = v.relnamespace
WHERE c.oid = %(table)s AND v.relkind IN ('v', 'm', 'r', 'p', 'f')
