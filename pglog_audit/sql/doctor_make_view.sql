-- The view as init makes it, to compare with.
CREATE TEMPORARY VIEW {view} AS
{events}
