"""The rows of a report in DuckDB: read, transform, check, write.

DuckDB is imported inside of functions. DAG files import the modules of transforms and checks, and
Airflow parses them often, without any rows.
"""
