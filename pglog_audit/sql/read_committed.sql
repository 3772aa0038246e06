-- Let each statement of the transaction see what is committed by then: a lock may be long in coming, and rows come meanwhile.
SET TRANSACTION ISOLATION LEVEL READ COMMITTED
