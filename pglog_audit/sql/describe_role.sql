-- Whether grants bind a role on a table of another's, what it may do there, and whether it may drop it; no row if it is missing.
SELECT NOT pg_has_role(oid, %(owner)s::oid, 'MEMBER') AS bound,
       (
           SELECT pg_has_role(pg_roles.oid, nspowner, 'MEMBER')
           FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
           WHERE pg_class.oid = %(table)s::regclass
       ) AS may_drop,
       ARRAY(
           SELECT privilege
           FROM unnest(ARRAY['INSERT', 'SELECT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS privilege
           WHERE CASE
               WHEN privilege IN ('DELETE', 'TRUNCATE', 'TRIGGER') THEN has_table_privilege(oid, %(table)s::regclass, privilege)
               ELSE has_any_column_privilege(oid, %(table)s::regclass, privilege)
           END
       ) AS privileges
FROM pg_roles
WHERE rolname = %(role)s
