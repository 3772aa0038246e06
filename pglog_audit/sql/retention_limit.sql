-- The time before which events are older than they are kept.
SELECT GREATEST((now() AT TIME ZONE 'UTC' - %(keep)s::interval) AT TIME ZONE 'UTC', '0001-01-02 00:00+00') AS limit
