-- A condition of timeline.sql: the events with this value.
   AND {column} = {value}
