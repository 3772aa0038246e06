-- A month of the table.
CREATE TABLE {month} PARTITION OF {table} FOR VALUES FROM ({begin}) TO ({end});
