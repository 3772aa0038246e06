-- Move the rows of the default partition to partitions of their months; the old partition stays as a table.
BEGIN;
SET LOCAL lock_timeout = '5s';
ALTER TABLE {table} DETACH PARTITION {partition};
ALTER TABLE {partition} RENAME TO {kept_name};
CREATE TABLE {partition} PARTITION OF {table} DEFAULT;
{made}
INSERT INTO {table} SELECT * FROM {kept};
COMMIT;
