-- What PUBLIC may do with the table, whole or by column.
SELECT DISTINCT acl.privilege_type AS privilege
FROM (
    SELECT relacl AS grants FROM pg_catalog.pg_class WHERE oid = %(table)s
    UNION ALL
    SELECT attacl FROM pg_catalog.pg_attribute WHERE attrelid = %(table)s AND NOT attisdropped
) AS given
CROSS JOIN LATERAL pg_catalog.aclexplode(given.grants) AS acl
WHERE acl.grantee = 0
ORDER BY privilege
