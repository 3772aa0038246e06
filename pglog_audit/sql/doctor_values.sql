-- Which columns of ours are filled, may be empty or compare in another way than init made them, here and in partitions; and what mends it.
WITH relations AS (
    SELECT c.oid, c.relkind, c.relispartition, false AS is_retained
    FROM pg_catalog.pg_class AS c
    WHERE c.oid = %(table)s::oid OR c.oid IN (SELECT relid FROM pg_catalog.pg_partition_tree(%(table)s::oid::regclass))
    UNION ALL
    SELECT o.oid, o.relkind, false, true
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_class AS o ON o.relnamespace = c.relnamespace AND o.relname = %(retained)s AND o.relkind = 'r'
    WHERE c.oid = %(table)s::oid
),
required (is_retained, name, value) AS (
    VALUES
        (false, 'id', 'gen_random_uuid()'),
        (false, 'occurred_at', 'clock_timestamp()'),
        (false, 'recorded_at', 'clock_timestamp()'),
        (false, 'action', NULL),
        (false, 'outcome', '''success''::text'),
        (false, 'metadata', '''{}''::jsonb'),
        (true, 'partition', NULL),
        (true, 'begins', NULL),
        (true, 'ends', NULL),
        (true, 'events', NULL),
        (true, 'retained_at', 'clock_timestamp()'),
        (true, 'retained_by', 'SESSION_USER')
)
SELECT given.name,
       pg_catalog.format('%%I.%%I', n.nspname, c.relname) AS relation,
       fault.what,
       fault.remedy
FROM relations AS r
JOIN pg_catalog.pg_class AS c ON c.oid = r.oid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN required AS i ON i.is_retained = r.is_retained AND i.name = a.attname
LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
LEFT JOIN pg_catalog.pg_collation AS o ON o.oid = a.attcollation
CROSS JOIN LATERAL (
    SELECT pg_catalog.quote_ident(a.attname),
           pg_catalog.pg_get_expr(d.adbin, d.adrelid),
           pg_catalog.format_type(a.atttypid, a.atttypmod)
) AS given (name, value, type)
CROSS JOIN LATERAL (
    VALUES
        (
            a.attgenerated <> '',
            'is generated as ' || given.value,
            -- A virtual one, of 18 on, has no values that could be kept.
            CASE a.attgenerated
                WHEN 's' THEN 'ALTER ' || given.name || ' DROP EXPRESSION'
                ELSE 'DROP ' || given.name || ' CASCADE, ADD ' || given.name || ' ' || given.type
            END
        ),
        (a.attidentity <> '', 'is an identity', 'ALTER ' || given.name || ' DROP IDENTITY'),
        (
            a.attgenerated = '' AND given.value IS DISTINCT FROM i.value
                -- Rows that come by way of the table have its defaults; and a UUIDv7 is as good.
                AND NOT (given.value IS NULL AND r.relispartition) AND (a.attname = 'id' AND given.value = 'uuidv7()') IS NOT TRUE,
            COALESCE('has the default ' || given.value, 'has no default'),
            'ALTER ' || given.name || COALESCE(' SET DEFAULT ' || i.value, ' DROP DEFAULT')
        ),
        (i.name IS NOT NULL AND NOT a.attnotnull, 'may be NULL', 'ALTER ' || given.name || ' SET NOT NULL'),
        (
            NOT o.collisdeterministic,
            'takes different texts for the same, by collation ' || pg_catalog.quote_ident(o.collname),
            'ALTER ' || given.name || ' TYPE ' || given.type || ' COLLATE "C"'
        )
) AS fault (is_there, what, remedy)
WHERE fault.is_there AND CASE WHEN r.is_retained THEN i.name IS NOT NULL ELSE a.attname = ANY (%(ours)s::text[]) END
ORDER BY r.is_retained, r.relispartition, relation, a.attnum
