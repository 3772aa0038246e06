-- A condition of timeline.sql: not the rows that the audit trail writes about itself.
   AND starts_with({column}::text, 'audit.') IS NOT TRUE
