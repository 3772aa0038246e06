-- The audit table of pglog_audit, in one transaction. Run it as the role that shall own the table.
BEGIN;

{statements}
COMMIT;
