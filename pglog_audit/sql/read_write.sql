-- Let the transaction write, whatever default_transaction_read_only says.
SET TRANSACTION READ WRITE
