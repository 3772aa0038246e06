-- Tables that are called like a partition of the table's, beside it and no part of it; whether retain took them out.
SELECT pg_catalog.format('%%I.%%I', n.nspname, m.relname) AS relation,
       m.relowner = c.relowner
           AND COALESCE(pg_catalog.obj_description(m.oid, 'pg_class') LIKE 'pglog_audit retain %%', false) AS is_leaving
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class AS m ON m.relnamespace = n.oid AND m.relkind IN ('r', 'p')
WHERE c.oid = %(table)s
  AND pg_catalog.starts_with(m.relname, %(prefix)s)
  AND substring(m.relname, pg_catalog.length(%(prefix)s) + 1) ~ '^_[0-9]{4}(_[0-9]{2})*$'
  AND NOT m.relispartition
ORDER BY relation
