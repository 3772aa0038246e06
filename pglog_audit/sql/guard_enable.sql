-- Let a trigger fire in replication, too.
ALTER TABLE {relation} ENABLE ALWAYS TRIGGER {guard};
