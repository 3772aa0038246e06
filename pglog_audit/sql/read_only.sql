-- Let the rest of the transaction change nothing.
SET TRANSACTION READ ONLY
