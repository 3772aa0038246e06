-- A table's columns, in their order.
SELECT attname::text
  FROM pg_catalog.pg_attribute
  JOIN pg_catalog.pg_class ON pg_class.oid = attrelid
  JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace
 WHERE nspname = %(schema)s AND relname = %(name)s AND attnum > 0 AND NOT attisdropped
 ORDER BY attnum
