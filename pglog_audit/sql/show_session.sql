-- What the names in a statement depend on: the role and the search path; and the database.
SELECT current_user, current_setting('search_path'), current_database()
