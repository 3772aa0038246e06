-- The event that tells what retention dropped, and who did it.
INSERT INTO {table} (action, entity_type, target_label, user_label, metadata)
VALUES (
    'audit.retain',
    'partition',
    %(name)s,
    session_user,
    jsonb_build_object(
        'partition', %(name)s::text,
        'from', %(begins)s::timestamptz,
        'to', %(ends)s::timestamptz,
        'events', %(events)s::bigint,
        'writers', %(writers)s::bigint,
        'session_user', session_user
    )
)
