-- What inserts again the rows of the default partition that retention has taken from the table and not dropped.
BEGIN;
SET LOCAL ROLE {owner};
INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE
SELECT {columns} FROM {relation} WHERE occurred_at < {ends};
DROP TABLE {relation};
COMMIT;
