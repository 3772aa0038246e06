-- The server processes that hold a lock on the table or a part of it, or run a setup; the strongest lock first.
SELECT l.pid
FROM pg_catalog.pg_locks AS l
WHERE l.granted AND l.pid <> pg_catalog.pg_backend_pid()
  AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())
  AND (
      l.relation IN (
          SELECT tree.relid
          FROM pg_catalog.pg_class AS c
          JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
          CROSS JOIN LATERAL (
              -- Not pg_partition_tree, which would wait for a lock itself.
              SELECT c.oid AS relid UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits AS i WHERE i.inhparent = c.oid
          ) AS tree
          WHERE c.relname = %(name)s
            AND CASE WHEN %(schema)s::text IS NULL THEN pg_catalog.pg_table_is_visible(c.oid) ELSE n.nspname = %(schema)s END
      )
      OR l.locktype = 'advisory' AND l.objsubid = 1
         AND (l.classid::bigint << 32) | l.objid::bigint = pg_catalog.hashtextextended('pglog_audit', 0::bigint)
  )
GROUP BY l.pid
ORDER BY pg_catalog.min(
    pg_catalog.array_position(
        ARRAY[
            'AccessExclusiveLock', 'ExclusiveLock', 'ShareRowExclusiveLock', 'ShareLock', 'ShareUpdateExclusiveLock',
            'RowExclusiveLock', 'RowShareLock', 'AccessShareLock'
        ],
        l.mode
    )
), l.pid
