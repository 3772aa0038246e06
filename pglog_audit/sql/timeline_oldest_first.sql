-- An order of timeline.sql: what happened first comes first.
 ORDER BY {occurred_at}, {id}
