-- A condition of timeline.sql: the events with one of these values.
   AND {column} = ANY ({value}::text[])
