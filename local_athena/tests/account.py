"""An AWS account on the local services, as tests use it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError

from local_athena import LocalAws
from local_athena.athena.clients import Clients
from local_athena.faults import Faults

SOURCE = Path(__file__).resolve().parents[1] / "src"
TOKEN = "a-token-of-at-least-32-characters"
PARQUET = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
_HUNDRED = "(VALUES " + ", ".join(f"({i})" for i in range(100)) + ")"


def numbers(rows: int) -> str:
    """A query of the numbers below `rows`, in order; at most a million."""
    tables = ", ".join(f"{_HUNDRED} AS {name} (x)" for name in "abc")
    million = f"SELECT a.x * 10000 + b.x * 100 + c.x AS n FROM {tables}"
    return f"SELECT * FROM ({million}) WHERE n < {rows} ORDER BY n"


@contextmanager
def served(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`local-athena serve` in a process of its own, and its endpoint URL."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-m", "local_athena", "serve", "--port=0", *options],
        cwd=SOURCE,
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        text=True,
        env={name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
    ) as process:
        try:
            assert process.stdout is not None
            words = process.stdout.readline().split()
            yield process, next(word for word in words if word.startswith("http://"))
        finally:
            process.kill()


def account_at(endpoint_url: str) -> Account:
    """An account of services that another process serves."""
    aws: Any = SimpleNamespace(endpoint_url=endpoint_url, client=Clients(endpoint_url).get)
    return Account(aws)


def refused(call: Callable[..., Any], **parameters: Any) -> dict[str, Any]:
    """The error of a call that is refused: Code, Message, Status and what else the answer has."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    answer: dict[str, Any] = dict(caught.value.response)
    return {**answer, **answer["Error"], "Status": answer["ResponseMetadata"]["HTTPStatusCode"]}


@dataclass
class Outcome:
    execution: dict[str, Any]
    csv: str | None
    scans: list[dict[str, Any]]

    def __post_init__(self) -> None:
        status = self.execution["Status"]
        self.id = str(self.execution["QueryExecutionId"])
        self.state, self.reason = str(status["State"]), str(status.get("StateChangeReason", ""))
        self.error: dict[str, Any] = status.get("AthenaError", {})
        self.scanned_bytes = int(self.execution["Statistics"]["DataScannedInBytes"])

    def partitions(self, position: int = 0) -> list[str]:
        return ["/".join(values.values()) for values in self.scans[position]["partitions"]]


@dataclass
class Account:
    """An AWS account with a bucket for results, one for a lake, and a database."""

    aws: LocalAws

    def __post_init__(self) -> None:
        self.athena: Any = self.aws.client("athena")
        self.s3: Any = self.aws.client("s3")
        self.glue: Any = self.aws.client("glue")
        self.faults = Faults(self.aws.endpoint_url)
        self.s3.create_bucket(Bucket="results")
        self.s3.create_bucket(Bucket="lake")
        self.glue.create_database(DatabaseInput={"Name": "db"})

    # --- queries

    def start(self, sql: str, **parameters: Any) -> str:
        """Start a query; a parameter that is None is left out of the request."""
        place = {"OutputLocation": "s3://results/some/where"}
        defaults = {"ResultConfiguration": place, "QueryExecutionContext": {"Database": "db"}}
        given = {name: each for name, each in (defaults | parameters).items() if each is not None}
        return str(self.athena.start_query_execution(QueryString=sql, **given)["QueryExecutionId"])

    def execution(self, id_: str) -> dict[str, Any]:
        answer: dict[str, dict[str, Any]] = self.athena.get_query_execution(QueryExecutionId=id_)
        return answer["QueryExecution"]

    def status(self, id_: str) -> dict[str, Any]:
        return dict(self.execution(id_)["Status"])

    def wait_for(self, id_: str, state: str) -> None:
        while self.status(id_)["State"] != state:
            time.sleep(0.02)

    def wait(self, id_: str) -> Outcome:
        while self.status(id_)["State"] in ("QUEUED", "RUNNING"):
            time.sleep(0.02)
        execution = self.execution(id_)
        location = execution.get("ResultConfiguration", {}).get("OutputLocation", "")
        has_csv = execution["Status"]["State"] == "SUCCEEDED" and location.endswith(".csv")
        url = f"{self.aws.endpoint_url}/_local/athena/executions/{id_}"
        with urllib.request.urlopen(url) as answer:
            scans = json.load(answer)["scans"]
        return Outcome(execution, self.read(location).decode() if has_csv else None, scans)

    def run(self, sql: str, **parameters: Any) -> Outcome:
        return self.wait(self.start(sql, **parameters))

    def answer(self, sql: str) -> tuple[str | None, str]:
        """The name of the error, or None, and the message or the CSV file."""
        try:
            outcome = self.run(sql)
        except ClientError as error:
            message = error.response["Error"]["Message"]
            is_unsupported = message.startswith("NOT_SUPPORTED")
            return "NOT_SUPPORTED" if is_unsupported else "SYNTAX_ERROR", message
        if outcome.csv is None:
            return outcome.reason.partition(":")[0], outcome.reason
        return None, outcome.csv

    def created(self) -> list[str]:
        """The ids of the queries in the primary workgroup."""
        ids: list[str] = self.athena.list_query_executions()["QueryExecutionIds"]
        return ids

    # --- objects

    def read(self, location: str) -> bytes:
        bucket, _, key = location.removeprefix("s3://").partition("/")
        body: bytes = self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        return body

    def keys(self, bucket: str) -> list[str]:
        return [each["Key"] for each in self.s3.list_objects_v2(Bucket=bucket).get("Contents", [])]

    def put(self, key: str, columns: pa.Table | Mapping[str, Any], **options: Any) -> bytes:
        """Put a Parquet file into the lake."""
        buffer = io.BytesIO()
        pq.write_table(pa.table(columns), buffer, **options)
        self.s3.put_object(Bucket="lake", Key=key, Body=buffer.getvalue())
        return buffer.getvalue()

    # --- tables

    def create_table(
        self,
        name: str,
        columns: Mapping[str, str],
        keys: Mapping[str, str] | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> None:
        table = {
            "Name": name,
            "TableType": "EXTERNAL_TABLE",
            "Parameters": dict(parameters or {}),
            "PartitionKeys": [{"Name": n, "Type": t} for n, t in (keys or {}).items()],
            "StorageDescriptor": self.storage(f"s3://lake/{name}/", columns),
        }
        self.glue.create_table(DatabaseName="db", TableInput=table)

    def add_partition(
        self, name: str, *values: str, path: str = "", columns: Mapping[str, str] | None = None
    ) -> None:
        """Register a partition, at a path of the table, by default its first value, or a URL."""
        location = path if path.startswith("s3://") else f"s3://lake/{name}/{path or values[0]}/"
        storage = self.storage(location, columns or {})
        partition = {"Values": list(values), "StorageDescriptor": storage}
        self.glue.create_partition(DatabaseName="db", TableName=name, PartitionInput=partition)

    @staticmethod
    def storage(location: str, columns: Mapping[str, str]) -> dict[str, Any]:
        return {
            "Location": location,
            "Columns": [{"Name": name, "Type": type_} for name, type_ in columns.items()],
            "SerdeInfo": {"SerializationLibrary": PARQUET},
        }


def ints(*values: int | None) -> pa.Array:
    return pa.array(values, pa.int32())
