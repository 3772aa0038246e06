-- The columns of a table that hold what was inserted; the server makes the generated ones again.
SELECT attname::text AS name
FROM pg_catalog.pg_attribute
WHERE attrelid = %(table)s AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
ORDER BY attnum
