-- Who owns a table, and whether limit_writer.sql, if it was run, could do its work.
SELECT pg_get_userbyid(relowner)::text AS owner,
       coalesce(current_setting('pglog_audit.limits_writer', true), '') = 'on' AS limits_writer
FROM pg_class
WHERE oid = %(table)s::regclass
