-- The events that meet all conditions, a page of them in their order.
SELECT {columns}
  FROM {table} AS event
 WHERE true
{conditions}
{order}
 LIMIT %(limit)s
