-- What makes a partition again of one that retention has taken from the table.
DROP TRIGGER refuse_change ON {relation};
ALTER TABLE {table} ATTACH PARTITION {relation} FOR VALUES FROM ({begins}) TO ({ends});
COMMENT ON TABLE {relation} IS NULL;
