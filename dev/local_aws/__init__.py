"""The AWS of this repository's demo and tests on this machine: one process, one endpoint, real services.

`python -m local_aws --port 4566` serves on 127.0.0.1 until it is stopped; in Python, `LocalAws.start()` does.
Any AWS client reaches it by that endpoint URL and nothing else; every credential and every region is
accepted. S3, Glue, STS, SNS and SQS are moto's. Athena is a service of our own over DuckDB. CloudFormation is
moto's, with the types that `local_aws.cloudformation` adds.

What this Athena does
    Query executions: StartQueryExecution (with ClientRequestToken and ExecutionParameters),
    GetQueryExecution, BatchGetQueryExecution, ListQueryExecutions, StopQueryExecution, GetQueryResults.
    They are QUEUED, RUNNING and then SUCCEEDED, FAILED or CANCELLED for good, on a few workers.
    Workgroups with an enforced or offered output location, or with managed query results, and
    BytesScannedCutoffPerQuery. GetDatabase, GetTableMetadata, data catalogs.
    SELECT, WITH and VALUES over Parquet tables of Glue, partitioned or not, their partitions registered
    (with places and columns of their own) or projected. Names and types are resolved as
    Trino does, and each function and operator is translated on its own (`athena.functions` is the list), so
    that what a query means here it means there: integer division, decimals, NULL ordering, rounding, casts,
    dates, time zones. Partitions are pruned by every condition on partition keys alone; DataScannedInBytes
    counts the compressed column chunks of what is left. Results are CSV as Athena writes it; UNLOAD writes
    them as Parquet, with a data manifest.

What it refuses, always with a message that says so
    Other statements (DDL, CTAS, EXPLAIN, SHOW), UNLOAD in another format than Parquet or in partitions;
    arrays, maps and rows but for ARRAY[...], MAP(...), array_agg and CAST(ROW(...) AS ROW(...)) in a result
    (and ROW as the key of max_by and min_by); GROUPING SETS, recursive WITH, UNNEST, approximate functions,
    functions of the current time, regular expressions, date formats and casts that DuckDB could read
    otherwise than Trino; tables that are not Parquet, injected partition projection, views; result reuse.
    What only DuckDB would accept is refused like any other error. No query reaches a file or the network.

Where it differs from the real one
    No limits on rates and sizes but those of the query text and, if set, the number of active queries;
    tokens are not forgotten; permissions are not checked, only recorded (`local_aws.actions`; such failures
    are scripted on demand, `local_aws.faults`). A scan cutoff strikes before anything is read, and counts as
    if the limit had been. Positions in error messages can differ, as can the wording of syntax errors; a few
    statements that Trino accepts are refused as its grammar is only approximated (bare values after `VALUES`
    within a join, lists of thousands of rows). upper and lower map a few letters otherwise, and digit and
    word classes in regular expressions know ASCII only. A condition on one table's partitions does not prune
    those of another that is joined on the same key. Without ORDER BY the order of rows is not Athena's. The
    `.metadata` object is JSON. A failed UNLOAD has no data manifest. All belongs to one account
    (`local_aws.actions.ACCOUNT`): S3 answers 403 where another bucket owner is expected, and 400 to every
    ACL.

For tests, `GET /_local/athena/executions/<id>` tells what a query read: `{"id", "state", "scans": [{"table",
"partitions": [{key: value}], "columns", "scanned_bytes"}], "duckdb_sql"}`, a table as often as it stands in
the query, a WITH query as often as it is named.
"""

from local_aws.server import LocalAws, PortInUseError

__all__ = ["LocalAws", "PortInUseError"]
