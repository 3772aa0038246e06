-- Triggers at an INSERT, and rules: each may change, drop or refuse the row; after it only in a table of ours.
WITH tree AS (
    SELECT %(table)s::oid AS relid
    UNION
    SELECT relid::oid FROM pg_catalog.pg_partition_tree(%(table)s::oid::regclass)
),
interferences AS (
    -- pg_trigger.h: row 1, before 2, insert 4, instead of 64.
    SELECT t.tgrelid AS relid, 'TRIGGER' AS kind, t.tgname AS name
    FROM tree
    JOIN pg_catalog.pg_trigger AS t ON t.tgrelid = tree.relid
    WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND t.tgenabled <> 'D'
      AND t.tgtype & 4 = 4 AND (%(is_ours)s OR (t.tgtype & 1 = 1 AND t.tgtype & 66 <> 0))
    UNION ALL
    SELECT r.ev_class, 'RULE', r.rulename
    FROM tree
    JOIN pg_catalog.pg_rewrite AS r ON r.ev_class = tree.relid
    WHERE r.ev_type <> '1' AND r.ev_enabled <> 'D'
)
SELECT pg_catalog.format('%%s %%I ON %%I.%%I', i.kind, i.name, n.nspname, c.relname) AS interference
FROM interferences AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.relid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
ORDER BY interference
