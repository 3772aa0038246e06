-- A partition of the table, attached so that writers go on meanwhile.
CREATE TABLE {partition} (
    LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED INCLUDING STORAGE
);
ALTER TABLE {table} ATTACH PARTITION {partition} {bounds};
{guards}
{revoke_given}
