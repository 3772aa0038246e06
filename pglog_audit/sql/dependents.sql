-- What keeps a table from being dropped: all that depends on it, at any remove, and is no part of it; and whose it is.
WITH RECURSIVE part (classid, objid) AS (
    SELECT 'pg_catalog.pg_class'::regclass::oid, pg_catalog.to_regclass(%(relation)s)::oid
    UNION
    SELECT d.classid, d.objid
    FROM part
    JOIN pg_catalog.pg_depend AS d ON d.refclassid = part.classid AND d.refobjid = part.objid
    WHERE d.deptype IN ('a', 'i', 'P', 'S') AND d.objsubid = 0
),
lost (classid, objid, objsubid, is_part) AS (
    SELECT classid, objid, 0, true FROM part
    UNION
    SELECT d.classid, d.objid, d.objsubid, false
    FROM lost
    CROSS JOIN LATERAL (
        SELECT classid, objid, objsubid
        FROM pg_catalog.pg_depend
        WHERE refclassid = lost.classid AND refobjid = lost.objid AND lost.objsubid IN (0, refobjsubid)
        UNION ALL
        -- With a rule goes the view that it is.
        SELECT refclassid, refobjid, refobjsubid
        FROM pg_catalog.pg_depend
        WHERE classid = lost.classid AND objid = lost.objid AND deptype = 'i' AND lost.objsubid = 0
          AND NOT lost.is_part
    ) AS d
    WHERE NOT EXISTS (SELECT FROM part WHERE part.classid = d.classid AND part.objid = d.objid)
      -- What a foreign key to the whole table has for each partition ends when that is detached.
      AND NOT EXISTS (
          SELECT
          FROM pg_catalog.pg_constraint AS c
          WHERE d.classid = 'pg_catalog.pg_constraint'::regclass AND c.oid = d.objid AND c.conparentid <> 0
      )
)
SELECT told.type || ' ' || told.identity AS name,
       pg_catalog.pg_get_userbyid(COALESCE(owner.oid, 10))::text AS owner  -- of what the first superuser has, nothing is noted
FROM lost
CROSS JOIN LATERAL pg_catalog.pg_identify_object(lost.classid, lost.objid, lost.objsubid) AS told
LEFT JOIN LATERAL (
    WITH RECURSIVE holder (classid, objid) AS (
        SELECT lost.classid, lost.objid
        UNION
        SELECT d.refclassid, d.refobjid
        FROM holder
        JOIN pg_catalog.pg_depend AS d ON d.classid = holder.classid AND d.objid = holder.objid
        WHERE d.deptype IN ('a', 'i')
    )
    SELECT s.refobjid AS oid
    FROM holder
    JOIN pg_catalog.pg_shdepend AS s ON s.classid = holder.classid AND s.objid = holder.objid AND s.deptype = 'o'
    JOIN pg_catalog.pg_database AS b ON b.oid = s.dbid AND b.datname = pg_catalog.current_database()
    LIMIT 1
) AS owner ON true
WHERE NOT lost.is_part
  AND told.identity IS NOT NULL
  AND NOT EXISTS (
      SELECT
      FROM pg_catalog.pg_depend AS d
      JOIN lost AS whole ON whole.classid = d.refclassid AND whole.objid = d.refobjid
      WHERE d.classid = lost.classid AND d.objid = lost.objid AND lost.objsubid = 0
        AND d.deptype IN ('a', 'i', 'P', 'S') AND whole.objsubid IN (0, d.refobjsubid)
  )
ORDER BY name
