-- A condition of timeline.sql: the events at that time or later.
   AND {column} >= {value}
