-- What inserts its rows again, where it cannot be a partition any more.
INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE
SELECT {columns} FROM {relation} WHERE occurred_at < {ends};
DROP TABLE {relation};
