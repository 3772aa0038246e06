-- The start of a batch, which writes whatever default_transaction_read_only says.
BEGIN READ WRITE
