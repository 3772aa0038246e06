-- Who holds the lock of setups, or one on a table, a partition of it or what retention keeps; who does not wait himself comes first.
WITH events AS (
    SELECT c.oid, c.relowner, c.relnamespace
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = %(schema)s AND c.relname = %(name)s
), relation (oid) AS (
    SELECT oid FROM events
    UNION
    SELECT i.inhrelid FROM events JOIN pg_catalog.pg_inherits AS i ON i.inhparent = events.oid
    UNION
    SELECT c.oid
    FROM events JOIN pg_catalog.pg_class AS c ON c.relnamespace = events.relnamespace AND c.relowner = events.relowner
    WHERE c.relkind = 'r' AND pg_catalog.starts_with(pg_catalog.obj_description(c.oid, 'pg_class'), 'pglog_audit')
)
SELECT l.pid, p.gid, COALESCE(max(a.usename), max(p.owner))::text AS role
FROM pg_catalog.pg_locks AS l
LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
-- The locks of a prepared transaction are no session's; one of them is that of its own number.
LEFT JOIN pg_catalog.pg_locks AS x
  ON x.pid IS NULL AND l.pid IS NULL AND x.virtualtransaction = l.virtualtransaction AND x.locktype = 'transactionid'
LEFT JOIN pg_catalog.pg_prepared_xacts AS p ON p.transaction = x.transactionid
WHERE l.granted
  AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
  AND (a.pid IS NOT NULL OR p.gid IS NOT NULL)
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
  AND (
      l.relation IN (SELECT oid FROM relation) AND NOT %(of_setups)s
      OR l.locktype = 'advisory' AND l.objsubid = 1
         AND (l.classid::bigint << 32 | l.objid::bigint) = pg_catalog.hashtextextended('pglog_audit', 0::bigint)
         -- Upkeep waits for this one only where lock_table.sql cannot lock the table.
         AND (
             %(of_setups)s
             OR EXISTS (
                 SELECT
                 FROM events
                 WHERE NOT pg_catalog.has_table_privilege(relowner, oid, 'UPDATE, DELETE, TRUNCATE')
             )
         )
  )
GROUP BY l.pid, p.gid
ORDER BY EXISTS (SELECT FROM pg_catalog.pg_locks AS w WHERE w.pid = l.pid AND NOT w.granted),
         bool_or(l.mode NOT IN ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock')) DESC,
         l.pid
LIMIT 3
