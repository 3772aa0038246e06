-- The trigger that refuses TRUNCATE.
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON {relation} FOR EACH STATEMENT EXECUTE FUNCTION {function}();
