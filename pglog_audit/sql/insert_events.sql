-- One JSON array of lines becomes rows; a line that is a row already makes no second one.
INSERT INTO {table} ({columns})
SELECT {values}
FROM json_to_recordset(%(lines)s) AS line ({definitions}){user_columns}
ON CONFLICT DO NOTHING
