-- A condition of timeline.sql: the actions that begin with this, as a range of texts in the order of their bytes.
   AND {column}::text COLLATE "C" >= %(action)s
   AND {column}::text COLLATE "C" < %(action_end)s
