-- A condition of timeline.sql: the events after the cursor's, newest first; the bound on the time alone skips partitions.
   AND {occurred_at} <= %(cursor_time)s
   AND ({occurred_at}, {id}) < (%(cursor_time)s, %(cursor_id)s)
