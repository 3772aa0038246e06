-- Whether a role is bound by grants on what another owns; no row if there is no such role.
SELECT NOT pg_has_role(oid, %(owner)s::oid, 'MEMBER') AS bound
FROM pg_roles
WHERE rolname = %(writer)s
