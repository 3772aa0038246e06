-- Who owns a table, what this role may do as that one, whether that one may make tables there, and who is here.
SELECT pg_catalog.pg_get_userbyid(c.relowner)::text AS owner,
       r.rolname::text AS role,
       pg_catalog.pg_has_role(
           c.relowner,
           -- From 16 on a member need not be able to act as the role.
           CASE WHEN server.version >= 160000 THEN 'SET' ELSE 'MEMBER' END
       ) AS is_member,
       -- Before, who may make roles could grant each.
       pg_catalog.pg_has_role(c.relowner, 'MEMBER WITH ADMIN OPTION') OR (r.rolcreaterole AND server.version < 160000)
           AS may_grant,
       pg_catalog.has_schema_privilege(c.relowner, c.relnamespace, 'CREATE') AS may_create,
       (SELECT s.rolsuper FROM pg_catalog.pg_roles AS s WHERE s.rolname = session_user) AS is_superuser,
       (SELECT o.rolsuper FROM pg_catalog.pg_roles AS o WHERE o.oid = c.relowner) AS is_owner_superuser
FROM pg_catalog.pg_class AS c
CROSS JOIN (SELECT pg_catalog.current_setting('server_version_num')::integer) AS server (version)
JOIN pg_catalog.pg_roles AS r ON r.rolname = current_user
WHERE c.oid = %(table)s
