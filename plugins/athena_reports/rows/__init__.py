"""The rows of a report in DuckDB: read, transform, check, write."""
