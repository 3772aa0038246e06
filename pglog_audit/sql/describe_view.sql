-- The relation that has the view's name: its full name, and whether it is a view on the table; no row if there is none.
SELECT format('%%I.%%I', nspname, relname) AS name,
       EXISTS (
           SELECT FROM pg_rewrite
           JOIN pg_depend ON classid = 'pg_rewrite'::regclass AND objid = pg_rewrite.oid
           WHERE ev_class = pg_class.oid AND refobjid = %(table)s::regclass
       ) AS reads
FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE pg_class.oid = to_regclass(%(view)s)
