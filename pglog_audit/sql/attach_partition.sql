-- Make a partition of a table that is new, so that writers go on meanwhile.
ALTER TABLE {table} ATTACH PARTITION {partition} {bounds};
{guards}
{revoke_given}
