-- What a table is that was a partition.
COMMENT ON TABLE {relation} IS {comment}
