-- Who owns the table and may act as its owner, and what of it belongs to somebody else.
WITH parts (kind, name, owner) AS (
    SELECT 'TABLE', pg_catalog.format('%%I.%%I', n.nspname, c.relname), c.relowner
    FROM pg_catalog.pg_partition_tree(%(table)s::oid::regclass) AS tree
    JOIN pg_catalog.pg_class AS c ON c.oid = tree.relid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    UNION
    SELECT 'TABLE', pg_catalog.format('%%I.%%I', n.nspname, c.relname), c.relowner
    FROM pg_catalog.pg_class AS parent
    JOIN pg_catalog.pg_class AS c ON c.relnamespace = parent.relnamespace AND c.relname = %(retained)s
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE parent.oid = %(table)s AND c.relkind = 'r'
    UNION
    SELECT 'FUNCTION', pg_catalog.format('%%I.%%I()', n.nspname, p.proname), p.proowner
    FROM pg_catalog.pg_partition_tree(%(table)s::oid::regclass) AS tree
    JOIN pg_catalog.pg_trigger AS t ON t.tgrelid = tree.relid AND t.tgname IN ('refuse_change', 'refuse_truncate')
    JOIN pg_catalog.pg_proc AS p ON p.oid = t.tgfoid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
)
SELECT r.rolsuper AS is_superuser,
       r.rolcanlogin AS logs_in,
       ARRAY(
           -- From 16 on a member may be one by several grants.
           SELECT DISTINCT pg_catalog.format('%%I', m.rolname)
           FROM pg_catalog.pg_auth_members AS a
           JOIN pg_catalog.pg_roles AS m ON m.oid = a.member
           -- From 16 on who made a role is a member that cannot act as it, though it may let itself.
           WHERE a.roleid = c.relowner AND pg_catalog.pg_has_role(
               m.oid,
               a.roleid,
               CASE WHEN pg_catalog.current_setting('server_version_num')::integer >= 160000 THEN 'SET' ELSE 'MEMBER' END
           )
           ORDER BY 1
       ) AS members,
       ARRAY(
           SELECT pg_catalog.format('%%s %%s', parts.kind, parts.name)
           FROM parts
           WHERE parts.owner <> c.relowner
           ORDER BY 1
       ) AS strays
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_roles AS r ON r.oid = c.relowner
WHERE c.oid = %(table)s
