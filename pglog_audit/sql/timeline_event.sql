-- The one event of that id.
SELECT {columns}
  FROM {table} AS event
 WHERE {id} = %(id)s
 LIMIT 1
