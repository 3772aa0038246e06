-- The keys of a line that are columns the user added.
LEFT JOIN LATERAL pg_catalog.jsonb_to_record(COALESCE(line.extra, '{{}}')) AS extra ({definitions}) ON true
