-- What belongs to a table and to another role than the table does: partitions, what retention tells, and the guards' function.
WITH events AS (
    SELECT c.oid, c.relname, c.relnamespace, c.relowner FROM pg_catalog.pg_class AS c WHERE c.oid = %(table)s
), part (kind, name, owner, is_default, must_be_own) AS (
    SELECT 'TABLE', pg_catalog.format('%%I.%%I', n.nspname, c.relname), c.relowner,
           pg_catalog.pg_get_expr(c.relpartbound, c.oid) = 'DEFAULT', false
    FROM events
    JOIN pg_catalog.pg_inherits AS i ON i.inhparent = events.oid
    JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    UNION ALL
    SELECT 'TABLE', pg_catalog.format('%%I.%%I', n.nspname, c.relname), c.relowner, NULL, true
    FROM events
    JOIN pg_catalog.pg_class AS c ON c.relnamespace = events.relnamespace AND c.relname = %(retained)s
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    UNION ALL
    SELECT DISTINCT 'FUNCTION', pg_catalog.format('%%I.%%I()', n.nspname, p.proname), p.proowner, NULL::boolean, false
    FROM events
    JOIN pg_catalog.pg_trigger AS t ON t.tgrelid = events.oid AND t.tgname IN ('refuse_change', 'refuse_truncate')
    JOIN pg_catalog.pg_proc AS p ON p.oid = t.tgfoid AND p.pronamespace = events.relnamespace
    JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
)
SELECT part.name,
       part.is_default IS NOT DISTINCT FROM false AS is_partition,
       pg_catalog.pg_get_userbyid(part.owner)::text AS owner,
       pg_catalog.format('ALTER %%s %%s OWNER TO %%I', kind, part.name, pg_catalog.pg_get_userbyid(events.relowner))
           AS statement
FROM part CROSS JOIN events
WHERE part.owner <> events.relowner
  -- What retention tells is believed only of the table's own owner; all else of a role whose rights that one has serves as well.
  AND (part.must_be_own OR NOT pg_catalog.pg_has_role(events.relowner, part.owner, 'USAGE'))
ORDER BY is_partition DESC, part.name
