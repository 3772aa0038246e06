-- What others than owner, superusers, PUBLIC and the writer may do with the table but read and tell events; so of retained.
WITH given AS (
    SELECT c.oid, c.relname, c.relowner, NULL AS attname, c.relacl AS grants
    FROM pg_catalog.pg_class AS c
    UNION ALL
    SELECT c.oid, c.relname, c.relowner, a.attname, a.attacl
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
)
SELECT pg_catalog.format('%%I.%%I', n.nspname, given.relname) AS relation,
       held.grantee,
       pg_catalog.string_agg(
           acl.privilege_type || COALESCE(' (' || pg_catalog.quote_ident(given.attname) || ')', ''),
           ', ' ORDER BY acl.privilege_type, given.attname
       ) AS privileges
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class AS o ON o.relnamespace = n.oid AND o.relkind IN ('r', 'p') AND (
    o.oid = c.oid OR o.relname = %(retained)s
)
JOIN given ON given.oid = o.oid
CROSS JOIN LATERAL pg_catalog.aclexplode(given.grants) AS acl
LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = acl.grantee
CROSS JOIN LATERAL (
    SELECT CASE acl.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.format('%%I', pg_catalog.pg_get_userbyid(acl.grantee)) END AS grantee
) AS held
WHERE c.oid = %(table)s
  AND acl.grantee NOT IN (o.relowner, c.relowner) AND r.rolsuper IS NOT TRUE
  AND acl.privilege_type <> 'SELECT'
  -- The lines restraint and public tell of these.
  AND (o.oid <> c.oid OR (acl.grantee <> 0 AND r.rolname IS DISTINCT FROM %(writer)s))
  -- recorded_at is the server's clock's alone.
  AND NOT (o.oid = c.oid AND acl.privilege_type = 'INSERT' AND COALESCE(given.attname <> 'recorded_at', false))
GROUP BY n.nspname, given.relname, held.grantee
ORDER BY relation, grantee
