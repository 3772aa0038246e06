-- Whether row-level security binds a role that inserts, and its policies for that; no row if there is no such role.
SELECT pg_catalog.format('%%I', r.rolname) AS name,
       c.relrowsecurity AS is_on,
       NOT (
           r.rolsuper OR r.rolbypassrls
           OR (pg_catalog.pg_has_role(r.oid, c.relowner, 'USAGE') AND NOT c.relforcerowsecurity)
       ) AS binds,
       pg_catalog.count(p.name) FILTER (WHERE p.is_permissive AND p.condition IS NOT NULL) > 0 AS admits,
       -- One permissive policy must let the row pass, and each restrictive one.
       ARRAY(
           SELECT each
           FROM pg_catalog.unnest(
               pg_catalog.array_agg(p.name ORDER BY p.name) FILTER (
                   WHERE p.condition <> 'true' AND NOT (p.is_permissive AND p.is_settled)
               )
           ) AS each
       ) AS judging
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_roles AS r ON r.rolname = %(role)s
LEFT JOIN LATERAL (
    SELECT pg_catalog.format('%%I', o.polname) AS name,
           o.polpermissive AS is_permissive,
           e.condition,
           pg_catalog.bool_or(o.polpermissive AND e.condition = 'true') OVER () AS is_settled
    FROM pg_catalog.pg_policy AS o
    CROSS JOIN LATERAL (
        SELECT pg_catalog.pg_get_expr(COALESCE(o.polwithcheck, o.polqual), o.polrelid) AS condition
    ) AS e
    WHERE o.polrelid = c.oid AND o.polcmd IN ('a', '*')
      AND EXISTS (
          SELECT
          FROM pg_catalog.unnest(o.polroles) AS given (role)
          -- CASE: 0 is PUBLIC, and no role to be asked about.
          WHERE CASE given.role WHEN 0 THEN true ELSE pg_catalog.pg_has_role(r.oid, given.role, 'USAGE') END
      )
) AS p ON true
WHERE c.oid = %(table)s
GROUP BY r.oid, r.rolname, r.rolsuper, r.rolbypassrls, c.oid, c.relrowsecurity, c.relforcerowsecurity, c.relowner
