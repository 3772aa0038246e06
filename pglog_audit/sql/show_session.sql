-- What the names in a statement depend on: the role and the search path; and the database.
SELECT current_user, pg_catalog.current_setting('search_path'), pg_catalog.current_database()
