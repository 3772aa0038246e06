-- Row-level security as readers meet it: its state and policies, whom these show nothing, and who gets round them.
WITH RECURSIVE shown AS (
    SELECT relid::oid FROM pg_catalog.pg_partition_tree(%(table)s::oid::regclass)
    UNION
    SELECT w.ev_class
    FROM shown
    JOIN pg_catalog.pg_depend AS d ON d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = shown.relid
    JOIN pg_catalog.pg_rewrite AS w ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = w.oid
)
SELECT c.relrowsecurity AS is_on,
       ARRAY(
           SELECT pg_catalog.format('%%I.%%I', n.nspname, f.relname)
           FROM pg_catalog.pg_class AS f
           JOIN pg_catalog.pg_namespace AS n ON n.oid = f.relnamespace
           WHERE f.relforcerowsecurity AND f.relrowsecurity AND (
               f.oid = c.oid
               OR f.oid IN (SELECT relid FROM pg_catalog.pg_partition_tree(c.oid::regclass))
               OR (f.relnamespace = c.relnamespace AND f.relname = %(retained)s)
           )
           ORDER BY f.oid <> c.oid, 1
       ) AS forced,
       EXISTS (SELECT FROM pg_catalog.pg_policy AS p WHERE p.polrelid = c.oid) AS has_policies,
       (
           SELECT p.polpermissive AND p.polcmd = 'r' AND pg_catalog.regexp_replace(
               pg_catalog.pg_get_expr(p.polqual, p.polrelid), '::(uuid|bigint|integer|text)|[()]', '', 'g'
           ) = 'tenant_id = NULLIFcurrent_setting''pglog_audit.tenant'', true, '''''
           FROM pg_catalog.pg_policy AS p
           WHERE p.polrelid = c.oid AND p.polname = 'read_own_tenant'
       ) AS is_whole,
       ARRAY(
           SELECT pg_catalog.format('%%I', p.polname)
           FROM pg_catalog.pg_policy AS p
           WHERE p.polrelid = c.oid AND p.polname <> 'read_own_tenant' AND p.polpermissive AND p.polcmd IN ('r', '*')
           ORDER BY p.polname
       ) AS other_policies,
       ARRAY(
           SELECT pg_catalog.format('%%I', p.polname)
           FROM pg_catalog.pg_policy AS p
           WHERE p.polrelid = c.oid AND NOT p.polpermissive AND p.polcmd IN ('r', '*')
           ORDER BY p.polname
       ) AS narrowing,
       ARRAY(
           SELECT r.rolname::text
           FROM pg_catalog.pg_roles AS r
           WHERE r.oid = ANY (granted.ids) AND NOT (r.rolsuper OR r.rolbypassrls)
             AND NOT EXISTS (
                 SELECT
                 FROM pg_catalog.pg_policy AS p
                 CROSS JOIN LATERAL pg_catalog.unnest(p.polroles) AS given (role)
                 WHERE p.polrelid = c.oid AND p.polpermissive AND p.polcmd IN ('r', '*')
                   -- CASE: 0 is PUBLIC, and no role to be asked about.
                   AND CASE given.role WHEN 0 THEN true ELSE pg_catalog.pg_has_role(r.oid, given.role, 'USAGE') END
             )
           ORDER BY r.rolname
       ) AS blind,
       ARRAY(
           SELECT pg_catalog.format('%%I', r.rolname)
           FROM pg_catalog.pg_roles AS r
           WHERE r.oid = ANY (granted.ids) AND (r.rolsuper OR r.rolbypassrls)
           ORDER BY r.rolname
       ) AS unbound,
       ARRAY(
           SELECT DISTINCT pg_catalog.format('%%I.%%I', n.nspname, v.relname)
           FROM shown
           JOIN pg_catalog.pg_class AS v ON v.oid = shown.relid AND v.relkind = 'v'
           JOIN pg_catalog.pg_namespace AS n ON n.oid = v.relnamespace
           CROSS JOIN LATERAL pg_catalog.aclexplode(v.relacl) AS acl
           WHERE acl.privilege_type = 'SELECT' AND acl.grantee <> v.relowner
             AND NOT COALESCE(
                 (
                     SELECT option_value::boolean
                     FROM pg_catalog.pg_options_to_table(v.reloptions)
                     WHERE option_name = 'security_invoker'
                 ),
                 false
             )
       ) AS open_views,
       ARRAY(
           SELECT DISTINCT pg_catalog.format('%%I.%%I', n.nspname, v.relname)
           FROM shown
           JOIN pg_catalog.pg_class AS v ON v.oid = shown.relid AND v.relkind = 'm'
           JOIN pg_catalog.pg_namespace AS n ON n.oid = v.relnamespace
           CROSS JOIN LATERAL pg_catalog.aclexplode(v.relacl) AS acl
           WHERE acl.privilege_type = 'SELECT' AND acl.grantee <> v.relowner
       ) AS copies
FROM pg_catalog.pg_class AS c
CROSS JOIN LATERAL (
    SELECT pg_catalog.array_agg(DISTINCT acl.grantee) AS ids
    FROM pg_catalog.aclexplode(c.relacl) AS acl
    WHERE acl.privilege_type = 'SELECT' AND acl.grantee NOT IN (0, c.relowner)
) AS granted
WHERE c.oid = %(table)s
