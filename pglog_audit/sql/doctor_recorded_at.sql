-- What is stored as the time of recording where nobody gives one.
SELECT COALESCE(pg_catalog.pg_get_expr(d.adbin, d.adrelid), 'NULL') AS value
FROM pg_catalog.pg_attribute AS a
LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = %(table)s AND a.attname = 'recorded_at' AND NOT a.attisdropped
