-- A part of gaps.sql: what the writers' numbers that went with a partition are claimed by.
     UNION ALL
    SELECT writer.writer_id, NULL, retained_at, left(claim::text, %(max_text)s)
      FROM {retained}
      JOIN writer USING (writer_id)
