-- Remove a table that is no partition any more; {cascade} says whether with what others made of it.
DROP TABLE {table} {cascade}
