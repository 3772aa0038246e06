-- The search path, as it was set.
SELECT current_setting('search_path')
