-- A table's schema and columns, in their order; a temporary table, perhaps another client's, is never meant.
SELECT nspname,
       ARRAY(SELECT attname::text
               FROM pg_catalog.pg_attribute
              WHERE attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped
              ORDER BY attnum)
  FROM pg_catalog.pg_class
  JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace
 WHERE relname = %(name)s
   AND relkind IN ('r', 'p', 'v', 'm', 'f')
   AND (nspname = %(schema)s OR %(schema)s::text IS NULL AND nspname = ANY (current_schemas(false)))
 ORDER BY array_position(current_schemas(false), nspname)
 LIMIT 1
