-- The end of a batch.
COMMIT
