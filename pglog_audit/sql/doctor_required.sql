-- The columns that must have a value and get one neither from every event nor by a default.
SELECT pg_catalog.format('%%I', a.attname) AS name
FROM pg_catalog.pg_attribute AS a
WHERE a.attrelid = %(table)s AND a.attnum > 0 AND NOT a.attisdropped
  AND a.attnotnull AND NOT a.atthasdef AND a.attidentity = ''
  AND a.attname <> ALL (%(filled)s::text[])
  -- The writer fills an id of its own type alone.
  AND NOT (a.attname = %(id)s AND a.atttypid = 'pg_catalog.uuid'::regtype)
ORDER BY a.attnum
