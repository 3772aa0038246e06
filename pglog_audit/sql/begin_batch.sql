-- The start of a batch.
BEGIN
