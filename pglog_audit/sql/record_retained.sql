-- Keep of a partition that goes what gaps must know; and how many events and how many writers that is.
WITH gone AS NOT MATERIALIZED (
    SELECT writer_id, writer_seq, action, metadata, occurred_at
    FROM {partition}
    WHERE occurred_at >= COALESCE(%(begins)s::timestamptz, '-infinity') AND occurred_at < %(ends)s::timestamptz
),
numbered AS (
    SELECT writer_id, writer_seq, writer_seq - row_number() OVER (PARTITION BY writer_id ORDER BY writer_seq) AS island
    FROM (SELECT DISTINCT writer_id, writer_seq FROM gone WHERE writer_id IS NOT NULL AND writer_seq >= 0) AS seen
),
stretch AS (
    -- From the thousandth on ranges are widened; their count stays exact, as in a row audit.gap.
    SELECT writer_id,
           min(writer_seq) AS first,
           max(writer_seq) AS last,
           count(*) AS events,
           LEAST(row_number() OVER (PARTITION BY writer_id ORDER BY min(writer_seq)), 1000) AS place
    FROM numbered
    GROUP BY writer_id, island
),
range AS (
    SELECT writer_id, min(first) AS first, max(last) AS last, sum(events) AS events
    FROM stretch
    GROUP BY writer_id, place
),
writer AS (
    SELECT writer_id,
           min(first) AS first,
           max(last) AS last,
           sum(events)::bigint AS events,
           jsonb_agg(jsonb_build_array(first, last) ORDER BY first) AS ranges
    FROM range
    GROUP BY writer_id
),
going_on AS (
    -- A writer that began and stopped here and lacks nothing has no row elsewhere that could miss these; but one that
    -- stopped may have gone on soon after, over the end of the partition.
    SELECT writer.*
    FROM writer
    WHERE first > 1 OR events <> last::numeric - first + 1 OR NOT EXISTS (
        SELECT
        FROM gone
        WHERE gone.writer_id = writer.writer_id AND gone.writer_seq = writer.last
          AND action = 'audit.stop' AND metadata ->> 'last_seq' = (writer.last - 1)::text
          AND occurred_at < %(ends)s::timestamptz - INTERVAL '1 hour'
    )
),
recorded AS (
    INSERT INTO {retained} (partition, begins, ends, events, writer_id, claim)
    SELECT %(name)s::text, COALESCE(%(begins)s::timestamptz, '-infinity'), %(ends)s::timestamptz, told.*
    FROM (
        SELECT (SELECT count(*) FROM gone), NULL::uuid, NULL::jsonb
        UNION ALL
        SELECT events,
               writer_id,
               jsonb_build_object('reason', 'retention dropped ' || %(name)s::text, 'ranges', ranges, 'count', events)
        FROM going_on
        UNION ALL
        -- What they said of losses goes as well, and still holds.
        SELECT 0, writer_id, metadata
        FROM gone
        JOIN going_on USING (writer_id)
        WHERE action = 'audit.gap'
    ) AS told
    RETURNING events, writer_id
)
SELECT max(events) FILTER (WHERE writer_id IS NULL) AS events, count(DISTINCT writer_id) AS writers FROM recorded
