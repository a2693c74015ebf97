"""PostgreSQL: the schema's migrations and every SQL statement."""
