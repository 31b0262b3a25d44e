"""Amazon Athena's API over DuckDB: the project's README.md says what it does and refuses."""
