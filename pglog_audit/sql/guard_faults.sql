-- For the table, each partition and what it has retained, what is wrong with the two triggers; NULL where nothing is.
WITH tree AS (
    SELECT %(table)s::oid AS relid
    UNION
    SELECT relid::oid FROM pg_catalog.pg_partition_tree(%(table)s::oid::regclass)
    UNION
    SELECT c.oid
    FROM pg_catalog.pg_class AS parent
    JOIN pg_catalog.pg_class AS c ON c.relnamespace = parent.relnamespace AND c.relowner = parent.relowner
    WHERE parent.oid = %(table)s AND c.relname = %(retained)s AND c.relkind = 'r'
      AND pg_catalog.starts_with(pg_catalog.obj_description(c.oid, 'pg_class'), 'pglog_audit: what retention')
),
guards (name, mask, bits) AS (
    -- pg_trigger.h: row 1, before 2, delete 8, update 16, truncate 32.
    VALUES ('refuse_change', 27, 27), ('refuse_truncate', 35, 34)
)
SELECT pg_catalog.format('%%I.%%I', n.nspname, c.relname) AS relation,
       c.relispartition AS is_partition,
       g.name AS guard,
       CASE
           WHEN pg_catalog.bool_or(fits AND t.tgenabled = 'A' AND p.prosrc = %(body)s) THEN NULL
           WHEN pg_catalog.bool_or(fits AND p.prosrc = %(body)s) THEN 'is not ENABLE ALWAYS'
           WHEN pg_catalog.bool_or(t.tgname = g.name) THEN 'does not call the function of init'
           ELSE 'is missing'
       END AS fault
FROM tree
JOIN pg_catalog.pg_class AS c ON c.oid = tree.relid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN guards AS g
LEFT JOIN pg_catalog.pg_trigger AS t ON t.tgrelid = c.oid
LEFT JOIN pg_catalog.pg_proc AS p ON p.oid = t.tgfoid
LEFT JOIN LATERAL (
    SELECT t.tgtype & g.mask = g.bits AND t.tgqual IS NULL AND t.tgattr::text = '' AS fits
) AS shape ON true
GROUP BY c.oid, n.nspname, c.relname, c.relispartition, g.name
ORDER BY is_partition, relation, guard
