-- Make a table of its own of a partition.
ALTER TABLE {table} DETACH PARTITION {partition}
