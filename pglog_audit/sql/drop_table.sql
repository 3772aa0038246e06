-- Remove a table that is no partition any more.
DROP TABLE {table}
