-- A row if there is a role of that name.
SELECT rolname FROM pg_roles WHERE rolname = %(role)s
