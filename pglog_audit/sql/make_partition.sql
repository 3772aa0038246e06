-- A table that can become a partition; without indexes, which are made when it does.
CREATE TABLE {partition} (
    LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED INCLUDING STORAGE
)
