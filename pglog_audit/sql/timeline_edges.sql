-- Where the partitions' time begins and ends: the bounds that no two share, oldest first; none without DEFAULT.
SELECT edge[1]::timestamptz
  FROM pg_catalog.pg_namespace
  JOIN pg_catalog.pg_class AS parent ON parent.relnamespace = pg_namespace.oid
  JOIN pg_catalog.pg_partitioned_table ON partrelid = parent.oid
  JOIN pg_catalog.pg_attribute ON attrelid = partrelid AND attnum = partattrs[0]
  JOIN pg_catalog.pg_inherits ON inhparent = partrelid
  JOIN pg_catalog.pg_class AS partition ON partition.oid = inhrelid
 CROSS JOIN LATERAL regexp_matches(pg_get_expr(partition.relpartbound, partition.oid), '''([^'']+)''', 'g') AS edge
 WHERE nspname = %(schema)s AND parent.relname = %(name)s AND attname = %(column)s
   AND partstrat = 'r' AND partnatts = 1 AND partdefid <> 0
   AND atttypid = 'timestamptz'::regtype AND attnotnull
 GROUP BY 1
HAVING count(*) = 1
 ORDER BY 1
