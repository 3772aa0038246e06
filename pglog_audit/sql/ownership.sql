-- Who owns a table, whether this role may act as that one, and whether that one may make tables there.
SELECT pg_catalog.pg_get_userbyid(c.relowner)::text AS owner,
       current_user::text AS role,
       pg_catalog.pg_has_role(
           c.relowner,
           -- From 16 on a member need not be able to act as the role.
           CASE WHEN pg_catalog.current_setting('server_version_num')::integer >= 160000 THEN 'SET' ELSE 'MEMBER' END
       ) AS is_member,
       pg_catalog.has_schema_privilege(c.relowner, c.relnamespace, 'CREATE') AS may_create
FROM pg_catalog.pg_class AS c
WHERE c.oid = %(table)s
