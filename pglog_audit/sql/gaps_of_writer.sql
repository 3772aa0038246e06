-- A condition of gaps.sql: the rows of this writer.
       AND {writer_id} = %(writer_id)s
