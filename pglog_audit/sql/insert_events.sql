-- One JSON array of lines becomes rows.
INSERT INTO {table} ({columns})
SELECT {values}
FROM pg_catalog.json_to_recordset(%(lines)s) AS line ({definitions}){user_columns}{on_conflict}
