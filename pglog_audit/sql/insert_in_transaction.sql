-- One line becomes a row of the caller's transaction, if names mean there what they meant when the table was described.
INSERT INTO {table} ({columns})
SELECT {values}
FROM pg_catalog.json_to_recordset(%(lines)s) AS line ({definitions}){user_columns}
WHERE current_user OPERATOR(pg_catalog.=) %(role)s
  AND pg_catalog.current_setting('search_path') OPERATOR(pg_catalog.=) %(path)s
