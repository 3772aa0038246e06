-- A schema for the demo in a database that has other tables.
CREATE SCHEMA {schema}
