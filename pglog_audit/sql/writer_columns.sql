-- The columns that can be written: type and default as SQL, the base type's name, and whether this role may.
SELECT a.attname,
       -- A name that is no keyword and has no schema is PostgreSQL's own, and says so.
       CASE WHEN substring(s.spelled FROM '^[^[(]+') = quote_ident(COALESCE(e.typname, t.typname)) THEN 'pg_catalog.' ELSE '' END
       || s.spelled,
       pg_get_expr(d.adbin, d.adrelid),
       CASE WHEN a.atttypmod = -1 AND t.typtype <> 'd' THEN t.typname END,
       has_column_privilege(c.oid, a.attnum, 'INSERT')
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
