-- The columns to write: type, default, base type, what binds their values, whether this role may, and what keeps all out.
SELECT a.attname,
       -- A name that is no keyword and has no schema is PostgreSQL's own, and says so.
       CASE WHEN substring(s.spelled FROM '^[^[(]+') = quote_ident(COALESCE(e.typname, t.typname)) THEN 'pg_catalog.' ELSE '' END
       || s.spelled,
       pg_get_expr(d.adbin, d.adrelid),
       CASE WHEN a.atttypmod = -1 AND t.typtype <> 'd' THEN t.typname END,
       EXISTS (SELECT FROM pg_constraint AS k
                WHERE k.conrelid = c.oid AND k.contype IN ('c', 'f') AND a.attnum = ANY (k.conkey)),
       a.attnotnull AND d.adbin IS NULL,
       has_column_privilege(c.oid, a.attnum, 'INSERT'),
       CASE
           -- What the relation is, if it takes no value of the column from anybody. A look at a table would wait for
           -- whoever locks it.
           WHEN c.relkind IN ('r', 'p') THEN NULL
           -- A bit for each command, 8 for INSERT. All three: PostgreSQL itself writes through the view, but into no
           -- column that it computes, unless a trigger does that.
           WHEN pg_relation_is_updatable(c.oid, true) & 8 = 0
             OR (pg_relation_is_updatable(c.oid, false) = 28
                 AND NOT c.relhastriggers
                 AND NOT pg_column_is_updatable(c.oid, a.attnum, false))
           THEN CASE c.relkind WHEN 'v' THEN 'a view' WHEN 'm' THEN 'a materialized view' ELSE 'a foreign table' END
       END
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_attribute AS a ON a.attrelid = c.oid
JOIN pg_type AS t ON t.oid = a.atttypid
CROSS JOIN LATERAL (SELECT format_type(a.atttypid, a.atttypmod) AS spelled) AS s
LEFT JOIN pg_type AS e ON e.typarray = t.oid
LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE n.nspname = %(schema)s AND c.relname = %(name)s
  AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND a.attidentity = ''
ORDER BY a.attnum
