"""Amazon Athena's API over DuckDB: the README.md of `local_aws` says what it does and refuses."""
