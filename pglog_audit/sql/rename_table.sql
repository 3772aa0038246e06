-- Another name for a table.
ALTER TABLE {table} RENAME TO {name}
