"""An Athena result as typed Arrow record batches, streamed from the CSV that Athena wrote to S3.

The CSV has every value as text; the types come from the result's metadata (GetQueryResults,
ResultSetMetadata). Athena writes NULL as an unquoted empty field and the empty string as `""`, and that
difference is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.csv as pa_csv
from botocore.exceptions import BotoCoreError, ClientError

from athena_reports.errors import ResultError

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_athena import AthenaClient
    from mypy_boto3_s3 import S3Client

    from athena_reports.query import QueryExecution

_TYPES: Mapping[str, pa.DataType] = {
    "boolean": pa.bool_(),
    "tinyint": pa.int8(),
    "smallint": pa.int16(),
    "integer": pa.int32(),
    "int": pa.int32(),
    "bigint": pa.int64(),
    "float": pa.float32(),
    "real": pa.float32(),
    "double": pa.float64(),
    "varchar": pa.string(),
    "char": pa.string(),
    "string": pa.string(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("ms"),
}


MAX_ROW_BYTES = 1024 * 1024
"""The longest row that is read, as text. pyarrow reads 32 such blocks ahead, so it bounds the memory too."""


@dataclass(frozen=True)
class Result:
    """A result: its columns, and its rows as a stream that can be read once.

    Attributes:
        schema: Names and types of the columns, in the order of the SELECT.
        batches: The rows; at least one batch, which is empty when there are none.
    """

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]


def read_result(execution: QueryExecution, *, athena: AthenaClient, s3: S3Client) -> Result:
    """Open the result of a query that has succeeded.

    Raises:
        ResultError: The result is gone, or has a column that cannot be read as what it claims to be.
    """
    schema = _schema(execution, athena)
    return Result(schema, _batches(execution, schema, _open(execution, s3)))


def _schema(execution: QueryExecution, athena: AthenaClient) -> pa.Schema:
    try:
        response = athena.get_query_results(QueryExecutionId=execution.id, MaxResults=1)
    except ClientError as error:
        raise ResultError(f"Query {execution.id}: its columns cannot be read: {error}") from error
    columns = response["ResultSet"]["ResultSetMetadata"]["ColumnInfo"]
    names = [column["Name"] for column in columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ResultError(
            f"Query {execution.id}: the column {', '.join(twice)} stands twice in the result. "
            f"Name each column of the SELECT differently (AS)."
        )
    return pa.schema([pa.field(column["Name"], _type(execution, column)) for column in columns])


def _type(execution: QueryExecution, column: Mapping[str, Any]) -> pa.DataType:
    athena_type = column["Type"].lower()
    if athena_type == "decimal":
        return pa.decimal128(column["Precision"], column["Scale"])
    if athena_type in _TYPES:
        return _TYPES[athena_type]
    raise ResultError(
        f"Query {execution.id}: the column {column['Name']!r} is a {athena_type}, which a CSV result does "
        f"not carry without loss. CAST it in the SQL, to varchar for example."
    )


def _open(execution: QueryExecution, s3: S3Client) -> StreamingBody:
    location = urlsplit(execution.output_location)
    try:
        return s3.get_object(Bucket=location.netloc, Key=location.path.lstrip("/"))["Body"]
    except ClientError as error:
        raise ResultError(
            f"Query {execution.id}: its result at {execution.output_location or 'no location'} cannot be "
            f"read: {error}. If it has expired, clear run_query with all that is downstream."
        ) from error


def _batches(execution: QueryExecution, schema: pa.Schema, body: StreamingBody) -> Iterator[pa.RecordBatch]:
    convert = pa_csv.ConvertOptions(
        column_types=schema,
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    try:
        with pa_csv.open_csv(
            body,
            # A row must fit into a block.
            read_options=pa_csv.ReadOptions(block_size=MAX_ROW_BYTES),
            # A NULL in a result of one column is an empty line.
            parse_options=pa_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
            convert_options=convert,
        ) as reader:
            if reader.schema.names != schema.names:
                raise ResultError(
                    f"Query {execution.id}: the result has the columns {reader.schema.names}, "
                    f"its metadata {schema.names}."
                )
            empty = True
            for batch in reader:
                empty = False
                yield batch
            if empty:
                yield pa.RecordBatch.from_pylist([], schema=schema)
    except BotoCoreError as error:
        raise ResultError(
            f"Query {execution.id}: reading {execution.output_location} broke off: {error}. Clear transform."
        ) from error
    except pa.ArrowInvalid as error:
        if "straddl" in str(error):
            raise ResultError(
                f"Query {execution.id}: a row of its result is longer than {MAX_ROW_BYTES:,} bytes. "
                f"Select less of its longest column."
            ) from error
        raise ResultError(
            f"Query {execution.id}: its result at {execution.output_location} does not read as its types "
            f"say: {error}"
        ) from error
