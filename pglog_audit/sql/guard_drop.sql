-- Make room for the trigger as init makes it.
DROP TRIGGER {guard} ON {relation};
