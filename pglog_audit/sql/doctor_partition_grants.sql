-- Grants on partitions to others than their owner: they lead round what the table itself allows.
WITH given AS (
    SELECT c.oid, c.relowner, c.relacl AS grants
    FROM pg_catalog.pg_partition_tree(%(table)s::oid::regclass) AS tree
    JOIN pg_catalog.pg_class AS c ON c.oid = tree.relid
    WHERE tree.relid <> %(table)s::oid
    UNION ALL
    SELECT c.oid, c.relowner, a.attacl
    FROM pg_catalog.pg_partition_tree(%(table)s::oid::regclass) AS tree
    JOIN pg_catalog.pg_class AS c ON c.oid = tree.relid
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND NOT a.attisdropped
    WHERE tree.relid <> %(table)s::oid
)
SELECT DISTINCT
       pg_catalog.format('%%I.%%I', n.nspname, c.relname) AS relation,
       CASE acl.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.format('%%I', pg_catalog.pg_get_userbyid(acl.grantee)) END AS grantee,
       acl.privilege_type AS privilege
FROM given
JOIN pg_catalog.pg_class AS c ON c.oid = given.oid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN LATERAL pg_catalog.aclexplode(given.grants) AS acl
WHERE acl.grantee <> given.relowner
ORDER BY relation, grantee, privilege
