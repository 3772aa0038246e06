-- Let the rest of the transaction change nothing, and tell times in the one style that carries their offset.
SET TRANSACTION READ ONLY;
SET LOCAL DateStyle = 'ISO';
