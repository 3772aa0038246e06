-- A condition of timeline.sql: what follows the cursor, newest first; the bound on the time alone skips months.
   AND {occurred_at} <= %(cursor_time)s
   AND ({occurred_at}, {id}) < (%(cursor_time)s, %(cursor_id)s)
