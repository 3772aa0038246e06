-- Whether grants bind a role on what another owns, and whether it may insert there; no row if it is missing.
SELECT NOT pg_has_role(oid, %(owner)s::oid, 'MEMBER') AS bound,
       has_any_column_privilege(oid, %(table)s::regclass, 'INSERT') AS inserts
FROM pg_roles
WHERE rolname = %(role)s
