-- What runs code at an INSERT into the table, or what tells of retention, where a role that is no superuser owns it and so can say what that code does.
WITH tree AS (
    SELECT c.oid, c.relkind, c.relowner, pg_catalog.format('%%I.%%I', n.nspname, c.relname) AS name
    FROM (
        SELECT %(table)s::oid AS relid
        UNION
        SELECT relid::oid FROM pg_catalog.pg_partition_tree(%(table)s::oid::regclass)
        UNION
        SELECT told.oid
        FROM pg_catalog.pg_class AS events
        JOIN pg_catalog.pg_class AS told ON told.relnamespace = events.relnamespace AND told.relname = %(retained)s
        WHERE events.oid = %(table)s::oid
    ) AS each
    JOIN pg_catalog.pg_class AS c ON c.oid = each.relid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_roles AS r ON r.oid = c.relowner AND NOT r.rolsuper
)
SELECT pg_catalog.format('%%s ON %%s', found.what, tree.name) AS code
FROM tree
CROSS JOIN LATERAL (
    -- pg_trigger.h: insert 4.
    SELECT pg_catalog.format('TRIGGER %%I', t.tgname) AS what
    FROM pg_catalog.pg_trigger AS t
    WHERE t.tgrelid = tree.oid AND NOT t.tgisinternal AND t.tgparentid = 0 AND t.tgtype & 4 = 4 AND t.tgenabled <> 'D'
    UNION ALL
    SELECT pg_catalog.format('RULE %%I', w.rulename)
    FROM pg_catalog.pg_rewrite AS w
    WHERE w.ev_class = tree.oid AND w.ev_enabled <> 'D' AND (w.ev_type = '3' OR tree.relkind = 'v')
    UNION ALL
    SELECT pg_catalog.format('CONSTRAINT %%I', o.conname)
    FROM pg_catalog.pg_constraint AS o
    WHERE o.conrelid = tree.oid AND o.contype = 'c' AND o.conislocal
    UNION ALL
    SELECT pg_catalog.format('DEFAULT OF %%I', a.attname)
    FROM pg_catalog.pg_attrdef AS d
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
    WHERE d.adrelid = tree.oid AND NOT pg_catalog.starts_with(d.adbin::text, '{CONST ')
      -- A name without a schema is PostgreSQL's own here.
      AND pg_catalog.pg_get_expr(d.adbin, d.adrelid) !~ (
          '^((gen_random_uuid|uuidv7|clock_timestamp|now)[(][)]|CURRENT_(TIMESTAMP|DATE|USER)|SESSION_USER'
          '|nextval[(]''[^'']*''::regclass[)]|(''[^'']*''|-?[0-9.]+)(::[a-z ]+([(][0-9,]+[)])?([[][]])?)?)$'
      )
    UNION ALL
    SELECT pg_catalog.format('TYPE OF %%I', a.attname)
    FROM pg_catalog.pg_attribute AS a
    JOIN pg_catalog.pg_type AS y ON y.oid = a.atttypid
    JOIN pg_catalog.pg_roles AS r ON r.oid = y.typowner AND NOT r.rolsuper
    WHERE a.attrelid = tree.oid AND NOT a.attisdropped
    UNION ALL
    SELECT pg_catalog.format('INDEX %%I', i.relname)
    FROM pg_catalog.pg_index AS x
    JOIN pg_catalog.pg_class AS i ON i.oid = x.indexrelid
    WHERE x.indrelid = tree.oid AND EXISTS (
        -- On what PostgreSQL brings with it nothing depends.
        SELECT
        FROM pg_catalog.pg_depend AS p
        WHERE p.classid = 'pg_catalog.pg_class'::regclass AND p.objid = i.oid
          AND p.refclassid NOT IN ('pg_catalog.pg_class'::regclass, 'pg_catalog.pg_constraint'::regclass)
    )
    UNION ALL
    SELECT pg_catalog.format('POLICY %%I', p.polname)
    FROM pg_catalog.pg_policy AS p
    WHERE p.polrelid = tree.oid AND p.polcmd IN ('a', '*')
      AND pg_catalog.pg_get_expr(COALESCE(p.polwithcheck, p.polqual), p.polrelid) <> 'true'
    UNION ALL
    SELECT 'PARTITION KEY'
    FROM pg_catalog.pg_partitioned_table AS p
    WHERE p.partrelid = tree.oid AND p.partexprs IS NOT NULL
    UNION ALL
    SELECT 'SERVER' WHERE tree.relkind = 'f'
) AS found
ORDER BY code
