-- The columns that must have a value and get one neither from every event nor by a default, in the table or in a partition alone.
SELECT pg_catalog.format('%%I', a.attname) AS name, pg_catalog.format('%%I.%%I', n.nspname, c.relname) AS relation
FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
-- A row that comes by way of the table has the table's defaults.
JOIN pg_catalog.pg_attribute AS t ON t.attrelid = %(table)s AND t.attname = a.attname
WHERE (
    a.attrelid = %(table)s
    OR (NOT t.attnotnull AND a.attrelid IN (SELECT relid FROM pg_catalog.pg_partition_tree(%(table)s::oid::regclass)))
  )
  AND a.attnum > 0 AND NOT a.attisdropped
  AND a.attnotnull AND NOT t.atthasdef AND t.attidentity = ''
  AND a.attname <> ALL (%(filled)s::text[])
  -- The writer fills an id of its own type alone.
  AND NOT (a.attname = %(id)s AND a.atttypid = 'pg_catalog.uuid'::regtype)
ORDER BY c.relispartition, relation, a.attnum
