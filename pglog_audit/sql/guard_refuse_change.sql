-- The trigger that refuses UPDATE and DELETE.
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON {relation} FOR EACH ROW EXECUTE FUNCTION {function}();
