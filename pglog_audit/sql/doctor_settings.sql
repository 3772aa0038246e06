-- Settings as a role gets them: this session's own, or what ALTER ROLE and ALTER DATABASE give another role.
SELECT s.name,
       COALESCE(
           (
               SELECT substring(given FROM '=(.*)$')
               FROM pg_catalog.pg_db_role_setting AS r
               CROSS JOIN LATERAL pg_catalog.unnest(r.setconfig) AS given
               WHERE %(role)s <> current_user
                 AND r.setrole IN (0, (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = %(role)s))
                 AND r.setdatabase IN (
                     0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
                 )
                 AND pg_catalog.starts_with(given, s.name || '=')
               ORDER BY r.setrole = 0, r.setdatabase = 0
               LIMIT 1
           ),
           -- Not every version has each.
           pg_catalog.current_setting(s.name, true)
       ) AS value
FROM pg_catalog.unnest(
    ARRAY[
        'default_transaction_read_only', 'synchronous_commit', 'statement_timeout', 'transaction_timeout',
        'idle_in_transaction_session_timeout', 'idle_session_timeout'
    ]
) AS s (name)
