-- A condition of gaps.sql: the writers with a row at that time or later, with all their rows.
    HAVING max({occurred_at}::timestamptz) >= %(since)s
