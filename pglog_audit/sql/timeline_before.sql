-- A condition of timeline.sql: the events before that time.
   AND {column} < {value}
