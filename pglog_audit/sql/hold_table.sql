-- Let nobody change the table or its triggers until the transaction ends; writers go on.
LOCK TABLE {table} IN ROW EXCLUSIVE MODE
