-- A line that is a row already makes no second one.
ON CONFLICT DO NOTHING
