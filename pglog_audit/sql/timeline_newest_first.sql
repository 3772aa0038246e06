-- An order of timeline.sql: what happened last comes first.
 ORDER BY {occurred_at} DESC, {id} DESC
