"""An AWS account on the local services, as tests use it."""

from __future__ import annotations

import io
import json
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from local_aws import LocalAws

PARQUET = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"


@dataclass
class Outcome:
    execution: dict[str, Any]
    csv: str | None
    scans: list[dict[str, Any]]

    @property
    def state(self) -> str:
        return str(self.execution["Status"]["State"])

    @property
    def reason(self) -> str:
        return str(self.execution["Status"].get("StateChangeReason", ""))

    @property
    def scanned_bytes(self) -> int:
        return int(self.execution["Statistics"]["DataScannedInBytes"])

    def partitions(self, position: int = 0) -> list[str]:
        return ["/".join(values.values()) for values in self.scans[position]["partitions"]]


@dataclass
class Account:
    """An AWS account with a bucket for results, one for a lake, and a database."""

    aws: LocalAws
    athena: Any = field(init=False)
    s3: Any = field(init=False)
    glue: Any = field(init=False)

    def __post_init__(self) -> None:
        self.athena, self.s3, self.glue = (self.aws.client(name) for name in ("athena", "s3", "glue"))

    def prepare(self) -> None:
        self.s3.create_bucket(Bucket="results")
        self.s3.create_bucket(Bucket="lake")
        self.glue.create_database(DatabaseInput={"Name": "db"})

    def start(self, sql: str, **parameters: Any) -> str:
        defaults = {
            "ResultConfiguration": {"OutputLocation": "s3://results/some/where"},
            "QueryExecutionContext": {"Database": "db"},
        }
        answer = self.athena.start_query_execution(QueryString=sql, **{**defaults, **parameters})
        return str(answer["QueryExecutionId"])

    def wait(self, execution_id: str) -> Outcome:
        while True:
            execution = self.athena.get_query_execution(QueryExecutionId=execution_id)["QueryExecution"]
            if execution["Status"]["State"] not in ("QUEUED", "RUNNING"):
                break
            time.sleep(0.005)
        csv = None
        location = execution.get("ResultConfiguration", {}).get("OutputLocation", "")
        if execution["Status"]["State"] == "SUCCEEDED" and location.endswith(".csv"):
            csv = self.read(location).decode()
        return Outcome(execution, csv, self.inspect(execution_id)["scans"])

    def run(self, sql: str, **parameters: Any) -> Outcome:
        return self.wait(self.start(sql, **parameters))

    def inspect(self, execution_id: str) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.aws.endpoint_url}/_local/athena/executions/{execution_id}") as answer:
            facts: dict[str, Any] = json.load(answer)
        return facts

    def read(self, location: str) -> bytes:
        bucket, _, key = location.removeprefix("s3://").partition("/")
        body: bytes = self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        return body

    def put(self, key: str, table: pa.Table, **options: Any) -> bytes:
        buffer = io.BytesIO()
        pq.write_table(table, buffer, **options)
        self.s3.put_object(Bucket="lake", Key=key, Body=buffer.getvalue())
        return buffer.getvalue()

    def create_table(
        self,
        name: str,
        columns: Mapping[str, str],
        keys: Mapping[str, str] | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> None:
        self.glue.create_table(
            DatabaseName="db",
            TableInput={
                "Name": name,
                "TableType": "EXTERNAL_TABLE",
                "Parameters": dict(parameters or {}),
                "PartitionKeys": [{"Name": n, "Type": t} for n, t in (keys or {}).items()],
                "StorageDescriptor": self.storage(f"s3://lake/{name}/", columns),
            },
        )

    def add_partition(self, name: str, values: Sequence[str], path: str) -> None:
        self.glue.create_partition(
            DatabaseName="db",
            TableName=name,
            PartitionInput={
                "Values": list(values),
                "StorageDescriptor": self.storage(f"s3://lake/{name}/{path}/", {}),
            },
        )

    @staticmethod
    def storage(location: str, columns: Mapping[str, str]) -> dict[str, Any]:
        return {
            "Location": location,
            "Columns": [{"Name": name, "Type": type_} for name, type_ in columns.items()],
            "SerdeInfo": {"SerializationLibrary": PARQUET},
        }
