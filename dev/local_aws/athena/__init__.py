"""Amazon Athena's API over DuckDB: what it does and refuses stands in the docstring of `local_aws`."""
