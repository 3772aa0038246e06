-- Tables that are called like a month of the table's, beside it and no part of it.
SELECT pg_catalog.format('%%I.%%I', n.nspname, m.relname) AS relation
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class AS m ON m.relnamespace = n.oid AND m.relkind IN ('r', 'p')
WHERE c.oid = %(table)s
  AND pg_catalog.starts_with(m.relname, %(prefix)s)
  AND substring(m.relname, pg_catalog.length(%(prefix)s) + 1) ~ '^_\d{4}(_\d\d)*$'
  AND NOT m.relispartition
ORDER BY relation
