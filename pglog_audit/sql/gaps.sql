-- What tells of gaps: each writer (part 0), then its gap rows (1), then where its numbers leap or repeat (2).
WITH writer AS MATERIALIZED (
    SELECT {writer_id} AS writer_id,
           max({writer_seq}) AS last_seq,
           max({occurred_at}::timestamptz) AS last_at,
           coalesce(
               max({writer_seq}) = max({writer_seq}) FILTER (
                   WHERE CASE WHEN {action}::text = 'audit.stop' THEN {metadata}::jsonb ->> 'last_seq' = ({writer_seq} - 1)::text END
               ),
               false
           ) AS is_stopped,
           left(max({metadata}::jsonb ->> 'host') FILTER (WHERE {writer_seq} = 0 AND {action}::text = 'audit.start'), 255) AS host,
           left(max({metadata}::jsonb ->> 'pid') FILTER (WHERE {writer_seq} = 0 AND {action}::text = 'audit.start'), 20) AS pid,
           left(max({service}::text) FILTER (WHERE {writer_seq} = 0 AND {action}::text = 'audit.start'), 255) AS service,
           -- Their number alone would not tell a missing one where another is there twice; their sum does.
           count(*) <> max({writer_seq})::numeric - least(min({writer_seq}), 1) + 1
           OR 2 * sum({writer_seq}) <> count(*) * (max({writer_seq})::numeric + least(min({writer_seq}), 1)) AS is_odd
      FROM {table} AS event
     WHERE {writer_id} IS NOT NULL AND {writer_seq} >= 0
{of_writer}
     GROUP BY {writer_id}
{recent}
), claim AS (
    SELECT writer.writer_id,
           {id}::text AS row_id,
           {occurred_at}::timestamptz AS told_at,
           -- What is longer is cut, and then cannot be read: a writer's own has an end.
           left({metadata}::text, %(max_text)s) AS metadata
      FROM {table} AS event
      JOIN writer ON writer.writer_id = {writer_id}
     WHERE {action}::text = 'audit.gap'
{retained}
), number AS (
    SELECT writer.writer_id,
           {writer_seq} AS seq,
           count(*) AS copies,
           min({occurred_at}::timestamptz) AS before,
           lag({writer_seq}) OVER sequence AS previous,
           lag(max({occurred_at}::timestamptz)) OVER sequence AS after
      FROM {table} AS event
      JOIN writer ON writer.writer_id = {writer_id}
     WHERE writer.is_odd AND {writer_seq} >= 0
     GROUP BY writer.writer_id, {writer_seq}
    WINDOW sequence AS (PARTITION BY writer.writer_id ORDER BY {writer_seq})
)
SELECT writer_id, 0 AS part, 0 AS place, to_jsonb(writer) - '{{writer_id,is_odd}}'::text[] AS facts
  FROM writer
 UNION ALL
SELECT writer_id, 1, 0, to_jsonb(claim) - 'writer_id'
  FROM claim
 UNION ALL
SELECT writer_id, 2, seq, to_jsonb(number) - 'writer_id'
  FROM number
 -- A writer's numbers begin with 1, and with 0 where it tells of its start.
 WHERE copies > 1 OR seq - 1 > coalesce(previous, 0)
 ORDER BY writer_id DESC, part, place
