-- The shortest round trip.
SELECT 1
