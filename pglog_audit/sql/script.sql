-- The audit table of pglog_audit, in one transaction, for the role that init would connect as.
BEGIN;
{read_committed};

{statements}
COMMIT;
