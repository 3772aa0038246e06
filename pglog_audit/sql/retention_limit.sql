-- The time before which events are older than they are kept; twenty centuries are as good as for ever.
SELECT (now() AT TIME ZONE 'UTC' - LEAST(%(keep)s::interval, '2000 years')) AT TIME ZONE 'UTC' AS limit
