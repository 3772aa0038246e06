-- Who holds a lock on a table, on a partition of it, or the one of setups; first those whose lock is more than a reader's or writer's.
SELECT l.pid, max(a.usename)::text AS role
FROM pg_catalog.pg_locks AS l
JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
WHERE l.granted
  AND l.pid <> pg_catalog.pg_backend_pid()
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
  AND (
      l.relation IN (
          SELECT c.oid
          FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
          WHERE n.nspname = %(schema)s AND c.relname = %(name)s
          UNION ALL
          SELECT i.inhrelid
          FROM pg_catalog.pg_inherits AS i
          JOIN pg_catalog.pg_class AS c ON c.oid = i.inhparent
          JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
          WHERE n.nspname = %(schema)s AND c.relname = %(name)s
      )
      OR l.locktype = 'advisory' AND l.objsubid = 1
         AND (l.classid::bigint << 32 | l.objid::bigint) = pg_catalog.hashtextextended('pglog_audit', 0::bigint)
  )
GROUP BY l.pid
ORDER BY bool_or(l.mode NOT IN ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock')) DESC, l.pid
LIMIT 3
