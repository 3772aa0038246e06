-- Who did what, in reading order, without the rows of the trail about itself.
SELECT occurred_at,
       coalesce(user_label, user_id::text) AS who,
       action,
       entity_type,
       coalesce(target_label, target_id::text) AS target,
       outcome,
       message,
       changes,
       metadata,
       event_id,
       user_id,
       target_id,
       tenant_id,
       impersonator_id,
       request_id,
       source_ip,
       user_agent,
       trace_id,
       service,
       id
FROM {table}
WHERE NOT starts_with(action, 'audit.')
