-- A row if the column id is of type uuid and a unique index over it tells a line that is a row already.
SELECT x.indexrelid
FROM pg_catalog.pg_index AS x
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = x.indrelid AND a.attname = %(id)s AND NOT a.attisdropped
CROSS JOIN LATERAL (
    SELECT ARRAY(
        SELECT COALESCE(k.attname::text, '')
        FROM pg_catalog.unnest(x.indkey::int2[]) WITH ORDINALITY AS key (attnum, position)
        LEFT JOIN pg_catalog.pg_attribute AS k ON k.attrelid = x.indrelid AND k.attnum = key.attnum
        WHERE key.position <= x.indnkeyatts
    ) AS names
) AS over
WHERE x.indrelid = %(table)s AND x.indisunique AND x.indisvalid AND x.indpred IS NULL
  AND a.atttypid = 'pg_catalog.uuid'::regtype AND a.attnum = ANY (x.indkey::int2[]) AND over.names <@ %(columns)s::text[]
