-- What puts back what retention has taken from the table and not dropped.
BEGIN;
SET LOCAL ROLE {owner};
{statements}COMMIT;
