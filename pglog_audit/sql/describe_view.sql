-- The relation that has the view's name: its full name, whether it is a view on the table, and by whose rights; no row if there is none.
SELECT format('%%I.%%I', nspname, relname) AS name,
       EXISTS (
           SELECT FROM pg_rewrite
           JOIN pg_depend ON classid = 'pg_rewrite'::regclass AND objid = pg_rewrite.oid
           WHERE ev_class = pg_class.oid AND refobjid = %(table)s::regclass
       ) AS reads,
       relkind = 'm' AS is_copy,
       relkind = 'v' AND current_setting('server_version_num')::integer >= 150000 AND NOT coalesce(
           (SELECT option_value::boolean FROM pg_options_to_table(reloptions) WHERE option_name = 'security_invoker'), false
       ) AS is_open
FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE pg_class.oid = to_regclass(%(view)s)
