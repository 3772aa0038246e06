-- The bounds of a partition.
FOR VALUES FROM ({begins}) TO ({ends})
