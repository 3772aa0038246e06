-- Another client of a pooler may have turned it off for the session that we share.
SET LOCAL synchronous_commit TO DEFAULT
