-- The events that meet all conditions, newest first.
SELECT {columns}
  FROM {table} AS event
 WHERE true
{conditions}
 ORDER BY {occurred_at} DESC, {id} DESC
 LIMIT %(limit)s
